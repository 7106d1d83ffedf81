"""``python -m fuzz.coverage_guided``: the same subjects, led by coverage, with atheris in an environment of its own.

Args: names of subjects, or their begins; all where there are none. ``FUZZ_SECONDS`` is the time of each (default 10).
Each runs in a process of its own, as libFuzzer ends the one it runs in. What is found is kept as by ``python -m fuzz``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def main(names: Sequence[str]) -> int:
    """Run each subject in a process; return 1 where any fails."""
    from fuzz.subjects import DATA, subjects

    seconds = os.environ.get("FUZZ_SECONDS", "10")
    failed = 0
    for name in subjects():
        if not names or name.startswith(tuple(names)):
            command = [sys.executable, "-m", "fuzz.coverage_guided", f"--one={name}", seconds]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            with contextlib.suppress(OSError):  # something was found
                (DATA / "fuzz" / name).rmdir()
            told = [line for line in done.stderr.splitlines() if line.startswith(("Done ", "==", "SUMMARY"))]
            print(f"{name:28} {told[-1] if told else 'no word'}", flush=True)
            if done.returncode:
                failed += 1
                print(done.stdout[-1500:], done.stderr[-1500:], flush=True)
    print(f"{failed} failed" if failed else "nothing found")
    return min(failed, 1)


def fuzz(name: str, seconds: str) -> None:
    """Fuzz one subject; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["backstream"]):
        from fuzz.subjects import DATA, subjects
    subject = subjects()[name]
    found = DATA / "fuzz" / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate([*subject.seeds, *subject.found]):
            (Path(folder) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", f"-artifact_prefix={found}/"]
        atheris.Setup([sys.argv[0], *options, folder], subject.check)
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("--one="):
        fuzz(sys.argv[1].removeprefix("--one="), sys.argv[2])
    sys.exit(main(sys.argv[1:]))
