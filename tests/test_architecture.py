"""The floors of the house, held by a test: each rule with its "because"."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "backstream"

FLOORS = {  # a module imports only from lower floors, or from its own room
    "errors": 0,
    "_version": 0,
    "chunks": 0,
    "credentials": 0,
    "messages": 0,
    "models": 0,
    "options": 0,
    "reply": 0,
    "request": 0,
    "schema": 0,
    "services": 0,
    "media": 0,
    "wire": 1,
    "dialects": 2,
    "transport": 2,
    "providers": 3,
    "registry": 4,
    "tools": 4,
    "sync": 4,
    "resilience": 4,
    "client": 5,
    "batch": 5,
    "server": 6,
    "cli": 7,
    "testing": 6,
}

PURE = (
    "errors",
    "chunks",
    "credentials",
    "messages",
    "models",
    "options",
    "reply",
    "request",
    "schema",
    "services",
    "media",
    "wire",
    "dialects",
)


@cache
def modules() -> tuple[tuple[str, Path], ...]:
    paths = sorted(SRC.rglob("*.py"))
    return tuple((".".join(path.relative_to(SRC).with_suffix("").parts), path) for path in paths)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module a file imports, also inside functions; what only type checkers see is left out."""
    found: list[str] = []
    tree = parsed(path)
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which floor they reach"
            found.append(node.module or "")
    return tuple(found)


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name, _ in modules()} - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_go_down(name: str, path: Path) -> None:
    """Because a change must never spread upwards, and any floor must be testable without those above it."""
    if name == "__init__":
        return
    for imported in imports(path):
        if not imported.startswith("backstream."):
            continue
        there = room(imported.removeprefix("backstream."))
        # values may build on values; elsewhere rooms of one floor do not know each other
        assert there == room(name) or FLOORS[there] < FLOORS[room(name)] or FLOORS[there] == FLOORS[room(name)] == 0, (
            f"{name} (floor {FLOORS[room(name)]}) imports {imported} (floor {FLOORS[there]})"
        )


@pytest.mark.parametrize("name", [name for name, _ in modules() if room(name) in PURE])
def test_pure_rooms_do_no_input_or_output(name: str) -> None:
    """Because values, framings and dialects are then testable as tables, at any cut, without a socket or a clock."""
    path = dict(modules())[name]
    forbidden = {"asyncio", "socket", "time", "os", "threading", "subprocess", "ssl", "tempfile", "pathlib"}
    allowed = {"messages": {"os"}}  # for the name os.PathLike in a type
    found = {imported.split(".")[0] for imported in imports(path)} & forbidden - allowed.get(name, set())
    assert not found, f"{name} imports {found}"
    tree = parsed(path)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{name} has a coroutine"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open", f"{name} opens a file"


def test_there_are_no_import_cycles() -> None:
    """Because a cycle is one module in several files."""
    names = dict(modules())
    graph = {
        name: {
            target
            for imported in imports(path)
            if imported.startswith("backstream.")
            for target in (imported.removeprefix("backstream."), imported.removeprefix("backstream.") + ".__init__")
            if target in names
        }
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("library", "home", "because"),
    [
        ("httptools", "transport", "the HTTP library can then be changed in one folder"),
        ("uvicorn", "server", "the server can then be changed in one folder"),
        ("click", "cli", "the command line can then be changed in one folder"),
        ("rich", "cli", "it is an extra"),
        ("PIL", "transport", "it is an extra"),
    ],
)
def test_a_library_has_one_home(library: str, home: str, because: str) -> None:
    users = {name for name, path in modules() if library in {imported.split(".")[0] for imported in imports(path)}}
    allowed = {"server.protocol"} if library == "httptools" else set()
    assert {name for name in users if room(name) != home} <= allowed, f"{library} belongs to {home}: {because}"


def test_one_exception_reaches_up_to_the_server() -> None:
    """``BackendApi`` without a URL starts the embedded backend through one hook; nothing else below knows a server."""
    reaching = {
        name
        for name, path in modules()
        if FLOORS.get(room(name), 9) < FLOORS["server"] and "backstream.server" in path.read_text()
    }
    assert reaching == {"providers.embedded"}


def test_lower_floors_name_no_provider() -> None:
    """Because a new back-end must not need a change below ``providers``."""
    named = ("BackendApi(", "Echo(")
    for name, path in modules():
        if FLOORS.get(room(name), 9) < FLOORS["providers"]:
            text = path.read_text()
            assert not any(word in text for word in named), name


def test_files_are_of_a_size_to_read() -> None:
    """Because nobody should need a table of contents for a file."""
    sizes = sorted(len(path.read_text().splitlines()) for _, path in modules())
    assert sizes[-1] <= 600
    assert sizes[len(sizes) // 2] <= 150
    assert sum(size <= 400 for size in sizes) >= 0.9 * len(sizes)


def test_classes_are_never_written_to() -> None:
    """Because a provider class is shared by every call: what a call learns belongs to the call."""
    for name, path in modules():
        for node in ast.walk(parsed(path)):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                written = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
                assert not (written and target.value.id == "cls"), f"{name}:{node.lineno} writes to a class"


def test_importing_the_package_is_cheap() -> None:
    """Because a command line starts often: neither asyncio nor ssl is loaded until something is used."""
    code = "import sys, backstream; print(sorted({'asyncio', 'ssl', 'msgspec', 'httptools'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
