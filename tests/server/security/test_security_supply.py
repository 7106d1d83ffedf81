"""What is delivered is what is in the tree: nothing that runs by itself, and few packages of others."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
SOURCE = REPOSITORY / "src"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SERVER = sorted((SOURCE / "backstream" / "server").rglob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the build back-end is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_is_the_tree(wheel: zipfile.ZipFile) -> None:
    """Byte for byte; beside it there is only what describes it."""
    names = [name for name in wheel.namelist() if not name.endswith("/")]
    package = {name for name in names if name.startswith("backstream/")}
    in_tree = {
        str(path.relative_to(SOURCE))
        for path in (SOURCE / "backstream").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package == in_tree
    for name in package:
        assert wheel.read(name) == (SOURCE / name).read_bytes(), name
    described = {name.partition("/")[2] for name in set(names) - package}
    assert described <= {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_nothing_of_the_wheel_runs_by_itself(wheel: zipfile.ZipFile) -> None:
    for name in wheel.namelist():
        assert not name.endswith((".pth", ".so", ".pyd", ".dll", ".exe", ".sh"))
        assert Path(name).name not in ("sitecustomize.py", "usercustomize.py", "setup.py")
        assert "/scripts/" not in name


def test_there_are_few_packages_of_others() -> None:
    needed = {re.split("[<>=]", each)[0] for each in PROJECT["project"]["dependencies"]}
    assert needed == {"click", "h11", "httptools", "msgspec", "uvicorn"}
    assert PROJECT["build-system"]["requires"] == ["hatchling>=1.27"]


@pytest.mark.parametrize("path", SERVER, ids=[str(path.relative_to(SOURCE)) for path in SERVER])
def test_the_server_runs_nothing_that_a_request_says(path: Path) -> None:
    """No eval, no templates, no programs, no pickles, no unchecked TLS; SQL has values, and no text put together."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), called
            assert not called.startswith(("subprocess.", "pickle.", "marshal.", "yaml.", "jinja2.")), called
            assert not any(word.arg == "verify" and ast.unparse(word.value) == "False" for word in node.keywords)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"subprocess", "pickle", "shelve", "marshal", "jinja2", "yaml"} & set(names)
