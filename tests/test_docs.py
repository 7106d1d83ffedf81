"""The texts, held to what they say: their code runs, their commands answer so, their links lead somewhere."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import gc
import inspect
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from backstream.chunks import KNOWN_TYPES, AuthEvent, ErrorEvent, RawResponse
from backstream.cli.main import cli
from backstream.dialects.backend_api import BackendApiParser, parse_failure

ROOT = Path(__file__).parent.parent
SERVER = """
import asyncio
from backstream.server import Settings, create_app
from backstream.server.run import serve
asyncio.run(serve(create_app(settings=Settings(keys_file=None)), port=0, on_ready=lambda url: print(url, flush=True)))
"""
WRITTEN_URL = "http://127.0.0.1:8080"
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
MOST_NOT_RUN = 3


@dataclasses.dataclass(frozen=True)
class Fence:
    """One fenced block of a text."""

    path: Path
    line: int
    language: str
    code: str
    why_not_run: str | None

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def fences(path: Path) -> list[Fence]:
    text = path.read_text()
    found = []
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        before = text[: match.start()]
        excuse = NOT_RUN.search(before)
        found.append(Fence(path, before.count("\n") + 1, match[1], match[2], excuse[1] if excuse else None))
    return found


def texts() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def runnable() -> list[Path]:
    return [path for path in texts() if path.name.startswith("README") or path.parent.name == "howto"]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-W", "error", "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: the pictures of the texts lie in it, nothing is set in the environment."""
    image = pytest.importorskip("PIL.Image", reason="the picture of the examples is made with Pillow")
    image.new("RGB", (32, 24), "orange").save(tmp_path / "cat.jpg")
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "lighthouse.png", tmp_path / "examples")
    for name in ("BACKSTREAM_URL", "http_proxy", "https_proxy", "all_proxy", "NO_COLOR", "BACKSTREAM_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- python -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", runnable(), ids=names(runnable()))
def test_the_python_of_a_text_runs(
    path: Path, folder: Path, server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader goes from top to bottom: the blocks of one text share their names, and one event loop."""
    namespace: dict[str, Any] = {"__name__": "docs"}
    monkeypatch.setattr(sys, "argv", ["docs"])
    blocks = [fence for fence in fences(path) if fence.language == "python" and fence.why_not_run is None]
    with asyncio.Runner() as runner:
        for fence in blocks:
            code = fence.code.replace(WRITTEN_URL, server_url)
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            compiled = compile("\n" * fence.line + code, str(fence), "exec", flags, dont_inherit=True)
            capsys.readouterr()
            if compiled.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(compiled, namespace))
            else:
                exec(compiled, namespace)
            check_prints(fence, capsys.readouterr().out)
    namespace.clear()
    gc.collect()  # what a block left open is this test's failure


def check_prints(fence: Fence, out: str) -> None:
    """``# prints: …`` at the end of a line says what that block writes."""
    promised = re.findall(r"# prints: (.+)", fence.code)
    if promised:
        assert_like(out, "\n".join(promised), str(fence))


def assert_like(actual: str, shown: str, where: str) -> None:
    """Compare line by line; ``…`` stands for anything, and on a line of its own for any number of lines."""
    actual_lines = [line.rstrip() for line in actual.rstrip().splitlines()]
    shown_lines = [line.rstrip() for line in shown.rstrip().splitlines()]
    assert is_like(actual_lines, shown_lines), f"{where} shows\n{shown}\nbut it is\n{actual}"


def is_like(actual: list[str], shown: list[str]) -> bool:
    if not shown:
        return not actual
    if shown[0] == "…":
        return any(is_like(actual[start:], shown[1:]) for start in range(len(actual) + 1))
    pattern = ".*".join(map(re.escape, shown[0].split("…")))
    return bool(actual) and re.fullmatch(pattern, actual[0]) is not None and is_like(actual[1:], shown[1:])


@pytest.mark.parametrize(
    ("actual", "shown", "alike"),
    [
        ("a\nb\n", "a\nb", True),
        ("a\nb", "a", False),
        ("a", "a\nb", False),
        ("a\nb\nc", "a\n…\nc", True),
        ("a\nc", "a\n…\nc", True),
        ("a\nb\nc", "…\nb", False),
        ("key bsk_12 kept", "key bsk_… kept", True),
        ("key bsk_12", "key … kept", False),
    ],
)
def test_outputs_are_compared_strictly(actual: str, shown: str, alike: bool) -> None:
    assert is_like(actual.splitlines(), shown.splitlines()) is alike


def test_blocks_that_do_not_run_are_few_and_say_why() -> None:
    excused = [fence for path in texts() for fence in fences(path) if fence.why_not_run is not None]
    assert len([fence for fence in excused if not fence.path.name.endswith(".ru.md")]) <= MOST_NOT_RUN


# --- commands ---------------------------------------------------------------------------------------------------------


def commands(fence: Fence) -> list[tuple[str, str]]:
    """Each command of a block, with the output shown below it."""
    found: list[tuple[str, str]] = []
    for line in fence.code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, shown = found.pop()
            found.append((command, shown + line + "\n"))
    return found


@pytest.mark.parametrize("path", runnable(), ids=names(runnable()))
def test_the_commands_of_a_text_answer_so(path: Path, folder: Path, server_url: str) -> None:
    for fence in fences(path):
        if fence.language != "console" or fence.why_not_run is not None:
            continue
        for command, shown in commands(fence):
            command = command.replace(WRITTEN_URL, server_url)
            output = run_server(command) if command.startswith("backstream serve") else run(command)
            if shown:
                assert_like(output.replace(server_url, WRITTEN_URL), shown, str(fence))


def run(command: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def run_server(command: str) -> str:
    """Run a command that serves until Ctrl-C; on a free port, but for that as it is written."""
    words = shlex.split(command, comments=True)
    with subprocess.Popen([*words, "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert isinstance(process.stderr, io.TextIOBase)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "listening on" in line:
                break
        process.send_signal(signal.SIGINT)
        process.wait(20)
    output = "".join(lines)
    assert "listening on" in output, output
    return re.sub(r"(listening on http://[^:]+:)\d+", rf"\g<1>{port_of(words)}", output)


def port_of(words: list[str]) -> str:
    return words[words.index("--port") + 1] if "--port" in words else "8080"


# --- links and other promises -----------------------------------------------------------------------------------------


def headings(path: Path) -> list[tuple[int, str]]:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [(len(match[1]), match[2]) for match in re.finditer(r"^(#+) (.+)$", text, re.MULTILINE)]


def anchors(path: Path) -> set[str]:
    """The anchors that a page has, by the rules of the common hosts."""
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]|\]\(.*?\)|\[", "", title).lower()).replace(" ", "-")
        for _, title in headings(path)
    }


@pytest.mark.parametrize("path", texts(), ids=names(texts()))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{path.name} links to {target}"
        assert there.is_relative_to(ROOT), f"{path.name} links out of the project: {target}"
        if anchor:
            assert anchor in anchors(there), f"{path.name} links to {target}; there are {sorted(anchors(there))}"


@pytest.mark.parametrize("path", texts(), ids=names(texts()))
def test_no_text_names_the_path_of_a_machine(path: Path) -> None:
    ours = (
        "/backend-api",
        "/v1",
        "/jsonl",
        "/healthz",
        "/llm",
        "/media",
        "/models",
        "/providers",
        "/version",
        "/dev/stdin",
    )
    for found in re.findall(r"(?<![\w.:/<>…\])}*~])/[A-Za-z][\w.-]*(?:/[\w.{}-]+)+", path.read_text()):
        assert found.startswith(ours), f"{path.name} names {found}"


def test_files_that_texts_name_exist() -> None:
    for path in texts():
        for found in re.findall(r"`((?:tests|src|docs|examples|benchmarks)/[\w./-]+)`", path.read_text()):
            assert (ROOT / found).exists(), f"{path.name} names {found}"


def test_the_translation_follows_the_original() -> None:
    english, russian = ROOT / "README.md", ROOT / "README.ru.md"
    assert [level for level, _ in headings(russian)] == [level for level, _ in headings(english)]
    assert [(fence.language, fence.code) for fence in fences(russian)] == [
        (fence.language, fence.code) for fence in fences(english)
    ]
    numbers = [sorted(set(re.findall(r"`[^`\n]+`", path.read_text()))) for path in (english, russian)]
    assert numbers[0] == numbers[1], "code in the running text differs"


def test_commands_of_make_that_texts_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in texts():
        for found in re.findall(r"\bmake ([a-z]+)(?=`|    #)", path.read_text()):
            assert found in targets, f"{path.name} names make {found}"


def test_options_that_texts_name_exist() -> None:
    known: set[str] = set()
    for name in cli.list_commands(click.Context(cli)):
        found = cli.get_command(click.Context(cli), name)
        assert found is not None, name
        commands = [found, *(found.commands.values() if isinstance(found, click.Group) else [])]
        known |= {option for each in commands for parameter in each.params for option in parameter.opts}
    known |= {"--version", "--help", "--pyargs"}  # the last one is pytest's own
    known |= set(re.findall(r'"(--[a-z-]+)"', (ROOT / "src/backstream/testing/pytest_plugin.py").read_text()))
    for path in runnable():
        for option in re.findall(r"(?<=[`\s])--[a-z][a-z-]+", path.read_text()):
            assert option in known, f"{path.name} names {option}"


def test_the_readme_lists_what_the_base_install_brings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"backstream", *(re.split(r"[^\w-]", requirement)[0] for requirement in project["dependencies"])}
    for path in (ROOT / "README.md", ROOT / "README.ru.md"):
        listed = re.search(r"backstream, msgspec,[^.]+", path.read_text())
        assert listed is not None
        assert set(re.split(r",\s+", listed[0])) == needed


# --- the protocol page ------------------------------------------------------------------------------------------------

PROTOCOL = ROOT / "docs" / "protocol.md"


def rows(section: str, header: str) -> list[list[str]]:
    """The rows of the table that begins with ``header``, in a section of the protocol page."""
    part = re.split(r"^## ", PROTOCOL.read_text(), flags=re.MULTILINE)
    text = next(piece for piece in part if piece.startswith(section))
    table = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def test_both_framings_of_the_protocol_page_are_the_same_answer() -> None:
    answers = {}
    for fence in fences(PROTOCOL):
        if fence.language in ("sse", "jsonl"):
            parser = BackendApiParser()
            events = [chunk.get_dict() for chunk in parser.feed(fence.code.encode()) if isinstance(chunk, RawResponse)]
            assert parser.finish(framed=True)[-1].state == "complete"  # type: ignore[union-attr]
            answers[fence.language] = events
    assert answers["sse"] == answers["jsonl"] != []


def test_the_protocol_page_lists_every_event_and_its_members() -> None:
    listed = rows("Events", "| `type` |") + rows("Events", "| our `type` |")
    table = {row[0].strip("`"): row for row in listed if row[0].startswith("`")}
    assert set(table) == set(KNOWN_TYPES)
    for kind, (_, members, chunk) in table.items():
        cls = KNOWN_TYPES[kind]
        assert chunk == ("raised" if cls in (ErrorEvent, AuthEvent) else f"`{cls.__name__}`")
        ours = {"kind", "status", "retryable", "retry_after_seconds"} if chunk == "raised" else set()
        declared = set(cls.__struct_encode_fields__) - {"(extra)"} - ours  # type: ignore[attr-defined]
        missing = [member for member in declared if f"`{member}`" not in members]
        assert not missing, f"{kind}: {missing} not described"


def test_the_protocol_page_tells_what_each_code_is_raised_as() -> None:
    for codes, raised in rows("Errors", "| code |"):
        for code in re.findall(r"`(\w+)`", codes):
            if code == "auth":
                continue
            event = {"type": "error", "error": code, "message": f"{code}: no"}
            assert f"`{type(parse_failure(RawResponse.from_dict(event))).__name__}`" in raised, code
