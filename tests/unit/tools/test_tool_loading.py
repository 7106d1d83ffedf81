"""Tools by name, out of real modules."""

import sys

import pytest

from backstream.errors import ConfigurationError
from backstream.tools import load_tools

MODULE = '''
from backstream.tools import tool

def add(a: int, b: int) -> int:
    """Add."""
    return a + b

@tool(name="other")
def second(a: int) -> int:
    return a

class Clock:
    def now(self) -> str:
        return "noon"

clock = Clock()
ALL = [add, second, clock.now]
NONE = []
number = 5
def untyped(a): ...
'''


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    package = tmp_path / "toolbox_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(MODULE)
    (tmp_path / "toolbox.py").write_text(MODULE)
    (tmp_path / "toolbox_broken.py").write_text("1 / 0")
    (tmp_path / "toolbox_needy.py").write_text("import toolbox_absent.inner")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("toolbox")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("toolbox:add", ["add"]),
        (" toolbox : add , second ", ["add", "other"]),
        ("toolbox:clock.now", ["now"]),
        ("toolbox:ALL", ["add", "other", "now"]),
        ("toolbox_package.inner:add", ["add"]),
    ],
)
def test_tools_are_found_by_name(name, tools):
    assert [tool.name for tool in load_tools(name)] == tools


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("toolbox", "'toolbox' names no tool; write module:function"),
        (":add", "names no tool"),
        ("toolbox:", "names no tool"),
        ("toolbox:add,,second", "names no tool"),
        ("toolbox_absent:add", "there is no module 'toolbox_absent'; is its folder in PYTHONPATH"),
        ("toolbox_package.absent:add", "there is no module 'toolbox_package.absent'"),
        ("toolbox_absent.inner:add", "there is no module 'toolbox_absent'"),
        ("toolbox_needy:add", "'toolbox_needy' needs the module 'toolbox_absent', which is not there"),
        ("toolbox_broken:add", "'toolbox_broken' cannot be imported: ZeroDivisionError: division by zero"),
        (".toolbox:add", "'.toolbox' cannot be imported: TypeError"),
        ("toolbox:ad", "'toolbox' has no 'ad'; did you mean add"),
        ("toolbox:clock.then", "'toolbox.clock' has no 'then'; write module:function"),
        ("toolbox:NONE", "empty list of tools"),
        ("toolbox:number", "toolbox:number: a tool is a int"),
        ("toolbox:untyped", "toolbox:untyped: parameter 'a'"),
        ("toolbox:ALL,add", "two tools are named 'add'"),
    ],
)
def test_what_is_missing_is_named(name, told):
    with pytest.raises(ConfigurationError) as caught:
        load_tools(name)
    assert told in str(caught.value)
