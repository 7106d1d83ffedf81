"""What a row of the table of back-ends says; pure values. Knows no back-end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import ConfigurationError

__all__ = ["Row", "url_of"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One back-end.

    Attributes:
        name: What stands before the slash in ``openai/gpt-5``.
        label: Its name for people.
        url: Where it is, with what every path of it begins with; no trailing slash. ``""`` where only its owner knows.
        url_variable: The environment variable that says another ``url``; ``None`` for none.
        url_path: What to append to the variable's value, where it does not end so already.
        dialect: The name of the dialect it speaks.
        key_variables: Environment variables that may hold its key, in the order they are looked up.
        key_needed: Whether it refuses to answer without a key.
        auth: The header field of the key; after a colon the scheme before it, without one the key stands alone.
        headers: Further header fields of every request.
        models_path: Where it lists its models, by GET; ``None`` where it does not, and ``models`` says what is known.
        models: Models known without asking.
        default_model: The model to take where none is named; ``None`` where the vendor names no lasting one.
        quirks: Where it differs from its dialect's rule; handed to the dialect, which knows the names.
        embeddings_path: Where it makes embeddings, in the form of OpenAI or of its own dialect; ``None`` for nowhere.
        images_path: The same for pictures.
        speech_path: The same for speech from text.
        transcriptions_path: The same for text from speech.
        local_ports: The loopback ports it usually listens on; empty for a back-end elsewhere.
        documentation: The page these facts are from: a link, or a page of this project.
    """

    name: str
    label: str
    url: str
    dialect: str
    documentation: str
    url_variable: str | None = None
    url_path: str = ""
    key_variables: tuple[str, ...] = ()
    key_needed: bool = True
    auth: str = "authorization: bearer"
    headers: Mapping[str, str] = {}
    models_path: str | None = "/models"
    models: tuple[str, ...] = ()
    default_model: str | None = None
    quirks: Mapping[str, Any] = {}
    embeddings_path: str | None = None
    images_path: str | None = None
    speech_path: str | None = None
    transcriptions_path: str | None = None
    local_ports: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<Row {self.name} {self.dialect} headers={list(self.headers)}>"


def url_of(found: Row, environ: Mapping[str, str]) -> str:
    """Return where a back-end is, by its row and the environment.

    Args:
        found: Its row.
        environ: The environment's variables.

    Returns:
        The URL, without a trailing slash.

    Raises:
        ConfigurationError: Neither says it; the text names the variable to set, where there is one.
    """
    said = environ.get(found.url_variable, "").strip().rstrip("/") if found.url_variable else ""
    if said:
        return said if said.endswith(found.url_path) else said + found.url_path
    if not found.url:
        remedy = f"set {found.url_variable}, or url in the configuration" if found.url_variable else "set its url"
        raise ConfigurationError(f"nothing says where {found.label} is", remedy)
    return found.url
