"""``python -m fuzz``: look for input that is handled badly, so many seconds for each subject.

Args: names of subjects, or their begins; all where there are none. ``FUZZ_SECONDS`` (default 2) is the time of each,
``FUZZ_SEED`` (default: another one each time) makes a run the same again. What is found is written to
``tests/data/fuzz/NAME/``, where the tests find it again.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from fuzz.mutations import damaged
from fuzz.subjects import DATA, Subject, subjects

_ROUND = 50


def main(names: Sequence[str]) -> int:
    """Fuzz the subjects; return how many fail."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "2"))
    begin = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    print(f"FUZZ_SECONDS={seconds:g} FUZZ_SEED={begin}", flush=True)
    failed = 0
    for name, subject in subjects().items():
        if not names or name.startswith(tuple(names)):
            failed += not fuzz(subject, seconds, begin)
    print(f"{failed} failed" if failed else "nothing found")
    return min(failed, 1)


def fuzz(subject: Subject, seconds: float, begin: int) -> bool:
    """Fuzz one subject in rounds until its time is over, or something is found."""
    last: list[bytes] = [b""]
    count = 0

    def check(data: bytes) -> None:
        nonlocal count
        count += 1
        last[0] = data
        subject.check(data)

    quick = settings(
        max_examples=_ROUND, deadline=None, database=None, derandomize=False, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    end, number = time.monotonic() + seconds, begin
    try:
        while time.monotonic() < end:
            seed(number)(quick(given(damaged(subject.seeds))(check)))()
            number += 1
    except Exception:  # whatever it is, it is what was looked for
        folder = DATA / "fuzz" / subject.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(last[0]).hexdigest()[:12]
        path.write_bytes(last[0])
        print(f"{subject.name}: after {count} inputs (FUZZ_SEED={number})\n{traceback.format_exc(limit=-4)}")
        print(f"  {last[0][:400]!r}\n  kept as {path}", flush=True)
        return False
    print(f"{subject.name:28} {count:6} inputs", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
