"""The table of back-ends: every row of the right shape, found by its name, and the page about it up to date."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from backstream.errors import ConfigurationError, UnknownProviderError
from backstream.providers.rows_hosted import HOSTED
from backstream.providers.rows_local import LOCAL
from backstream.providers.table import ROWS, Row, row, url_of

ROOT = Path(__file__).parents[3]
EVERY = pytest.mark.parametrize("each", [*HOSTED, *LOCAL], ids=lambda each: each.name)
DIALECTS = {"openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "backend_api"}
AUTHS = {"authorization: bearer", "x-api-key", "x-goog-api-key", "api-key"}
ROUTES = ("models_path", "embeddings_path", "images_path", "speech_path", "transcriptions_path")
QUIRKS = {  # of openai_chat: the name, and what may stand there
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "system_role": ("system", "developer", "auto"),
    "stream_options": (True, False),
    "seed": ("seed", "random_seed"),
    "reasoning_field": ("reasoning_content", "reasoning"),
    "reasoning_effort": ("reasoning_effort", "reasoning", None),
    "think_tags": (True, False),
    "send_reasoning": (True, False),
    "citations": ("citations",),
    "done": (True, False),
    "tool_choice_required": ("required", "any"),
    "video": (True, False),
    "json_schema": (True, False),
    "cache_control": (True, False),
    "document_urls": (True, False),
    "prefix": ("plain", "member", "final_message"),
}
LOOPBACK = "127.0.0.1"


def test_names_are_unique() -> None:
    assert len(ROWS) == len(HOSTED) + len(LOCAL)
    assert all(name == each.name for name, each in ROWS.items())
    labels = [each.label for each in ROWS.values()]
    assert len(set(labels)) == len(labels)


@EVERY
def test_a_name_can_stand_before_a_slash(each: Row) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", each.name)


@EVERY
def test_a_url_is_https_or_loopback(each: Row) -> None:
    if not each.url:
        assert each.url_variable, "nothing could say where it is"
        return
    url = urlsplit(each.url)
    assert url.geturl() == each.url
    assert not each.url.endswith("/")
    assert url.query == url.fragment == ""
    assert url.username is None
    if each.local_ports:
        assert (url.scheme, url.hostname) == ("http", LOOPBACK)
        assert url.port in each.local_ports
    else:
        assert url.scheme == "https"
        assert "." in (url.hostname or "")


@EVERY
def test_paths_begin_with_a_slash_and_end_without(each: Row) -> None:
    for path in [each.url_path, *(getattr(each, name) for name in ROUTES)]:
        assert not path or re.fullmatch(r"(/[a-z0-9_-]+)+", path), path


@EVERY
def test_only_a_hosted_back_end_needs_a_key(each: Row) -> None:
    assert each.key_needed is not bool(each.local_ports)
    assert bool(each.key_variables) is each.key_needed
    assert each.auth in AUTHS
    variables = [*each.key_variables, *([each.url_variable] if each.url_variable else [])]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", variable) for variable in variables)


@EVERY
def test_a_key_variable_belongs_to_one_vendor(each: Row) -> None:
    """Because a key must not travel to another vendor's server."""
    for other in ROWS.values():
        if set(other.key_variables) & set(each.key_variables):
            assert (other.url, other.url_variable) == (each.url, each.url_variable)


@EVERY
def test_the_dialect_is_known_and_quirks_are_of_it(each: Row) -> None:
    assert each.dialect in DIALECTS
    if each.dialect != "openai_chat":
        assert not each.quirks
    for name, value in each.quirks.items():
        if name == "unsupported":
            assert value
            assert len(set(value)) == len(value)
            assert all(re.fullmatch(r"[a-z_]+", parameter) for parameter in value)
        else:
            assert value in QUIRKS[name], f"{name}={value!r}"


@EVERY
def test_documentation_is_a_link_or_a_page_of_ours(each: Row) -> None:
    if each.documentation.startswith("docs/"):
        assert (ROOT / each.documentation).is_file()
    else:
        assert urlsplit(each.documentation).scheme == "https"
        assert " " not in each.documentation


@EVERY
def test_headers_are_lower_case_and_hold_no_key(each: Row) -> None:
    for name in each.headers:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
        assert name not in {auth.partition(":")[0] for auth in AUTHS}


def test_a_row_is_found_in_any_case() -> None:
    assert row("openai") is row("OpenAI") is ROWS["openai"]


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownProviderError, match="anthropic") as caught:
        row("antropic")
    assert caught.value.nearest[0] == "anthropic"


def test_the_table_and_its_rows_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        ROWS["mine"] = ROWS["openai"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        ROWS["openai"].url = "https://example.org"  # type: ignore[misc]


def test_a_row_shows_no_value_of_a_header_and_no_url() -> None:
    made = Row(
        name="mine",
        label="Mine",
        url="https://user:canary-1@llm.example.org",
        dialect="openai_chat",
        documentation="https://example.org",
        headers={"x-token": "canary-2"},
    )
    assert "canary" not in repr(made)
    assert "x-token" in repr(made)


@pytest.mark.parametrize(
    ("name", "environ", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1"),
        ("azure", {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"}, "https://me.openai.azure.com/openai/v1"),
        ("azure", {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}, "https://me.openai.azure.com/openai/v1"),
        (
            "azure-responses",
            {"AZURE_OPENAI_ENDPOINT": " https://me.openai.azure.com/openai/v1/\n"},
            "https://me.openai.azure.com/openai/v1",
        ),
        ("backstream", {}, "http://127.0.0.1:8080"),
        ("backstream", {"BACKSTREAM_URL": ""}, "http://127.0.0.1:8080"),
        ("backstream", {"BACKSTREAM_URL": "https://llm.example.org/llm/"}, "https://llm.example.org/llm"),
        ("openai", {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"}, "https://api.openai.com/v1"),
    ],
)
def test_a_variable_says_another_url(name: str, environ: dict[str, str], url: str) -> None:
    assert url_of(row(name), environ) == url


@pytest.mark.parametrize("environ", [{}, {"AZURE_OPENAI_ENDPOINT": " "}])
def test_a_url_that_nothing_says_names_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="set AZURE_OPENAI_ENDPOINT"):
        url_of(row("azure"), environ)


def test_a_url_that_nothing_can_say_is_told_too() -> None:
    with pytest.raises(ConfigurationError, match="where Azure OpenAI is; set its url"):
        url_of(msgspec.structs.replace(row("azure"), url_variable=None), {})


def test_importing_the_table_is_cheap() -> None:
    """Because names are resolved by commands that never open a connection."""
    code = (
        "import sys, backstream.providers.table; "
        "print([name for name in ('asyncio', 'ssl', 'socket', 'httptools') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_about_the_table_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_providers", ROOT / "docs" / "generate_providers.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text(encoding="utf-8") == generator.render(), "run python docs/generate_providers.py"
