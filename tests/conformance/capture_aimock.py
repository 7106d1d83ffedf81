"""Write tests/data/recorded/aimock anew: run ``python -m conformance.capture_aimock`` in the folder ``tests``."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from conformance.aimock_cases import DIALECTS, Dialect, cases, fixtures, has_whole, question
from conformance.support_aimock import Aimock, running_aimock
from support_server import Answer, close, head_and_body, parse_answers

FOLDER = Path(__file__).parent.parent / "data" / "recorded" / "aimock"
LEFT_OUT = ("date", "access-control-", "connection", "keep-alive", "transfer-encoding")


async def ask(aimock: Aimock, dialect: Dialect, case: str, stream: bool) -> Answer | None:
    """Ask on a connection of its own; return the answer, or nothing where the connection ends without one."""
    body = dialect.body(question(case), stream)
    fields = {"Content-Type": "application/json", "X-Request-Id": f"{dialect.name}-{case}", **dialect.headers}
    reader, writer = await asyncio.open_connection("127.0.0.1", aimock.port)
    try:
        writer.write(head_and_body("POST", dialect.path(stream), body, headers=fields))
        await writer.drain()
        received = b""
        try:
            while not _whole(received) and (data := await reader.read(65536)):
                received += data
        except ConnectionError:
            pass
    finally:
        await close(writer)
    return parse_answers(received)[0] if received else None


def _whole(received: bytes) -> bool:
    """Say whether an answer is complete: the mock keeps the connection open, whatever it is asked."""
    return b"\r\n\r\n" in received and parse_answers(received)[0].whole


def write(folder: Path, name: str, answer: Answer) -> None:
    """Write what came: the body without its chunks, and the fields that tell something."""
    kept = [f"{key}: {value}" for key, value in answer.headers if not key.startswith(LEFT_OUT)]
    ended = "whole" if answer.whole else "cut off"
    (folder / f"{name}.body").write_bytes(answer.body)
    (folder / f"{name}.headers").write_text("\n".join([f"{answer.status} {ended}", *kept, ""]), encoding="utf-8")


async def main() -> None:
    for name in DIALECTS:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (FOLDER / name).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as home, running_aimock(Path(home)) as aimock:
        aimock.load(*fixtures())
        for dialect in DIALECTS.values():
            for case in cases(dialect.name):
                streamed = await ask(aimock, dialect, case, True)
                if streamed is not None:
                    write(FOLDER / dialect.name, case, streamed)
                if has_whole(case):
                    whole = await ask(aimock, dialect, case, False)
                    assert whole is not None
                    write(FOLDER / dialect.name, f"{case}.whole", whole)


if __name__ == "__main__":
    asyncio.run(main())
