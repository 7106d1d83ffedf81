"""``backstream replay``: a recorded stream, played back through the parser that first read it. Asks nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backstream.cli import exits

if TYPE_CHECKING:
    from backstream.providers.recorder_file import Recording
    from backstream.reply import End

__all__ = ["command"]

_SHOWN = 100


@click.command("replay", epilog=exits.EPILOG)
@click.argument("name", default="last", metavar="[ID]")
@click.option("--folder", type=click.Path(path_type=Path), metavar="PATH", help="Default: the configured one.")
@click.option("--list", "as_list", is_flag=True, help="List the recordings, the newest first.")
@click.option("--speed", type=click.FloatRange(0.001), metavar="N", help="Take the time it took, divided by N.")
@click.option("--fixture", type=click.Path(path_type=Path), metavar="PATH", help="Make a test of it in that folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each chunk.")
def command(
    *, name: str, folder: Path | None, as_list: bool, speed: float | None, fixture: Path | None, as_json: bool
) -> int:
    """Play a recorded stream back.

    ID is that of a recording, its begin, or last. Streams are recorded where BACKSTREAM_RECORD names a folder, or
    [recorder] in backstream.toml. They hold no requests and no keys; what was said is filler unless content = true.
    The same bytes, cut as they came, go through the parser; each chunk is printed with its time, and last how it ended.

    \b
    Examples:
      BACKSTREAM_RECORD=flights backstream chat "Hi"
      backstream replay --folder flights
      backstream replay --list
      backstream replay 20261122 --fixture tests/recorded
    """  # noqa: D301 - click reads \b
    from backstream.providers.recorder_file import find_recording, list_recordings, read

    where = _folder(folder)
    if as_list:
        _print_list(list_recordings(where), as_json=as_json)
        return exits.OK
    recording, body = read(find_recording(where, name))
    if fixture is not None:
        from backstream.testing.recorded import write_fixture

        for path in write_fixture(fixture, recording, body):
            click.echo(path)
        return exits.OK
    return _play(recording, body, speed=speed, as_json=as_json)


def _folder(given: Path | None) -> Path:
    from backstream.errors import ConfigurationError
    from backstream.registry.config import load_config

    if given is not None:
        return given
    config = load_config()
    folder = config.recorder.folder or config.server.record
    if folder is None:
        raise ConfigurationError("nothing is recorded", "set BACKSTREAM_RECORD to a folder, or give --folder")
    return folder.expanduser()


def _print_list(recordings: Any, *, as_json: bool) -> None:
    from backstream.cli.tables import print_json, print_table

    if as_json:
        print_json(recordings)
        return
    rows = [
        (
            each.id,
            each.provider,
            each.model or "",
            f"{len(each.reads)}",
            f"{each.size}",
            f"{_seconds(each):.3f}",
            each.ended,
        )
        for each in recordings
    ]
    print_table(("ID", "PROVIDER", "MODEL", "READS", "BYTES", "SECONDS", "ENDED"), rows)


def _seconds(recording: Recording) -> float:
    return recording.reads[-1][0] / 1e6 if recording.reads else 0.0


def _play(recording: Recording, body: bytes, *, speed: float | None, as_json: bool) -> int:
    import time

    from backstream.chunks import RawResponse
    from backstream.cli.terminal import make_tolerant
    from backstream.providers.replay import replay
    from backstream.reply import End

    make_tolerant()
    if not as_json:
        model = f" {recording.model}" if recording.model else ""
        what = (
            f"{recording.provider}{model} ({recording.dialect}), {recording.size} bytes in {len(recording.reads)} reads"
        )
        click.echo(_harmless(f"{recording.recorded_at} {what}"))
    last, end = 0.0, End("failed")
    for seconds, block in replay(recording, body):
        if speed is not None:
            time.sleep(max(seconds - last, 0) / speed)
        last = seconds
        for item in block:
            if isinstance(item, End):
                end = item
            elif isinstance(item, RawResponse):
                _print_chunk(seconds, item, as_json=as_json)
    return _print_end(last, end, as_json=as_json)


def _print_chunk(seconds: float, chunk: Any, *, as_json: bool) -> None:
    import msgspec

    members = chunk.get_dict()
    if as_json:
        click.echo(msgspec.json.encode({"seconds": seconds, "chunk": members}).decode())
        return
    kind = members.pop("type", "")
    text = msgspec.json.encode(members).decode()
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    click.echo(_harmless(f"{seconds:9.3f}  {kind:12} {shown}"))


def _print_end(seconds: float, end: End, *, as_json: bool) -> int:
    import msgspec

    said = "" if end.error is None else f": {end.error}"
    if as_json:
        told = {"state": end.state, "evidence": end.evidence, "error": said.removeprefix(": ") or None}
        click.echo(msgspec.json.encode({"seconds": seconds, "end": told}).decode())
    else:
        evidence = f" ({', '.join(map(str, end.evidence))})" if end.evidence else ""
        click.echo(_harmless(f"{seconds:9.3f}  {end.state}{evidence}{said}"))
    if end.state == "failed":
        return exits.BACKEND_FAILED
    return exits.INCOMPLETE if end.state == "incomplete" else exits.OK


def _harmless(text: str) -> str:
    from backstream.cli.terminal import harmless

    return harmless(text)
