"""What tests of plug-ins share: a package, installed as an installer leaves it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["install"]


def install(folder: Path, name: str, code: str, **points: str) -> None:
    """Put a distribution ``plugged-NAME`` with one module into a folder.

    Args:
        folder: A folder that is, or will be, on ``sys.path``.
        name: What tells it from others.
        code: The module's code.
        **points: Its entry points: names to attributes of the module.
    """
    module = f"plugged_{name}"
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plugged-{name}\nVersion: 1.0\n")
    lines = [f"{point} = {module}:{attribute}\n" for point, attribute in points.items()]
    (info / "entry_points.txt").write_text("[backstream.providers]\n" + "".join(lines))
