"""Recorded streams as fixtures: bytes, how they were cut, and a test to go on from. Knows no dialect."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from backstream.chunks import RawResponse
from backstream.errors import ConfigurationError
from backstream.providers.recorder_file import Recording
from backstream.providers.replay import replay
from backstream.reply import End
from backstream.testing.chop import chop

__all__ = ["check_recorded_cuts", "count_kinds", "play", "write_fixture"]

_STUB = '''"""A stream of {provider}, recorded {day}. Say here what it shows."""

from pathlib import Path

from backstream.testing.recorded import check_recorded_cuts, count_kinds, play

STREAM = Path(__file__).with_name("{name}.json")


def test_it_is_read_as_it_was_then() -> None:
    chunks, end = play(STREAM)
    assert end.state == "{state}"
    assert count_kinds(chunks) == [
{kinds}
    ]


def test_the_cuts_do_not_matter() -> None:
    check_recorded_cuts(STREAM)
'''


def play(path: Path) -> tuple[Sequence[RawResponse], End]:
    """Parse a fixture, cut as its stream was.

    Args:
        path: The JSON file; the bytes lie beside it, as ``.bin``.

    Returns:
        Its chunks, and its end.

    Raises:
        ConfigurationError: It cannot be read, or is of a dialect that is not known here.
    """
    return _parse(*_load(path))


def check_recorded_cuts(path: Path) -> None:
    """Check that a fixture gives the same chunks and the same end however it is cut.

    Raises:
        AssertionError: It does not.
        ConfigurationError: As :func:`play`.
    """
    recording, body = _load(path)
    chunks, end = _parse(recording, body)
    for pieces in chop(body, every_cut_up_to=1024, samples=200):
        cut = msgspec.structs.replace(recording, reads=[(0, len(piece)) for piece in pieces])
        again, ended = _parse(cut, body)
        if again != chunks or ended.state != end.state:
            sizes = [len(piece) for piece in pieces[:2]]
            raise AssertionError(f"{len(pieces)} pieces of {sizes}… bytes give other chunks, or another end")


def count_kinds(chunks: Iterable[RawResponse]) -> list[tuple[str, int]]:
    """Return the types of chunks in their order, each with how many of it come in a row."""
    kinds = (str(chunk.get_dict().get("type", "")) for chunk in chunks)
    return [(kind, len(list(same))) for kind, same in itertools.groupby(kinds)]


def write_fixture(folder: Path, recording: Recording, body: bytes) -> Sequence[Path]:
    """Write a recording as a fixture: its bytes, how they were cut, and a test.

    Args:
        folder: Where; made where there is none.
        recording: The recording.
        body: Its bytes.

    Returns:
        The files.

    Raises:
        ConfigurationError: One of them is there already, or cannot be written.
    """
    name = f"recorded_{recording.id}".replace("-", "_")
    chunks, end = _parse(recording, body)
    kinds = "\n".join(f'        ("{kind}", {count}),' for kind, count in count_kinds(chunks))
    day = recording.recorded_at.partition("T")[0]
    stub = _STUB.format(provider=recording.provider, day=day, name=name, state=end.state, kinds=kinds)
    head = msgspec.json.format(msgspec.json.encode(recording), indent=2)
    files = {f"{name}.bin": body, f"{name}.json": head + b"\n", f"test_{name}.py": stub.encode()}
    paths = [folder / each for each in files]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in zip(paths, files.values(), strict=True):
            with path.open("xb") as file:
                file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot take the fixture: {error.strerror}", "name another folder") from None
    return paths


def _load(path: Path) -> tuple[Recording, bytes]:
    try:
        recording = msgspec.json.decode(path.read_bytes(), type=Recording)
        return recording, path.with_suffix(".bin").read_bytes()
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"{path} is no fixture ({type(error).__name__})") from None


def _parse(recording: Recording, body: bytes) -> tuple[Sequence[RawResponse], End]:
    items = [item for _, block in replay(recording, body) for item in block]
    end = items.pop()
    assert isinstance(end, End)
    return [item for item in items if isinstance(item, RawResponse)], end
