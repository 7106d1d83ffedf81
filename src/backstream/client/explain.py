"""What a request would become on its way to a back-end: nothing is sent, nothing is opened, no key is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.dialects.names import DIALECTS, dialect_for
from backstream.errors import InvalidRequestError, UnknownProviderError
from backstream.providers.rows_shape import Row
from backstream.providers.table import ROWS
from backstream.request import Receipt, Receipts
from backstream.transport.exchange import secret_texts

__all__ = ["Explanation", "explain"]

_SHOWN_CHARACTERS = 200


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a back-end would get it.

    Attributes:
        provider: The back-end's name; the dialect's where only that was named.
        dialect: The dialect.
        url: Where it would go; only the path where the back-end is not known.
        headers: Header fields the dialect demands, and configured ones without the keys in them.
        body: The body; long texts in it, above all media, are shortened.
        receipts: What became of each thing asked for.
    """

    provider: str
    dialect: str
    url: str
    headers: Mapping[str, str]
    body: Any
    receipts: tuple[Receipt, ...]


def explain(
    members: Mapping[str, Any], *, to: str, written_in: str = "openai_chat", rows: Mapping[str, Row] = ROWS
) -> Explanation:
    """Translate a request, and say what became of each thing in it.

    Args:
        members: The request's JSON body.
        to: The name of a provider, ``provider/model``, or the name of a dialect.
        written_in: The dialect the request is written in.
        rows: The providers there are.

    Raises:
        UnknownProviderError: There is no provider or dialect of that name.
        InvalidRequestError: The request is not of its dialect.
        UnsupportedFeatureError: It holds content that the back-end has no words for.
    """
    name, _, model = to.partition("/")
    row = rows.get(name)
    if row is None and name not in DIALECTS:
        raise UnknownProviderError(name, [*rows, *DIALECTS])
    if not isinstance(members, Mapping):
        raise InvalidRequestError(f"the request is a JSON {type(members).__name__}", "pass an object")
    dialect = dialect_for(row.dialect, row.quirks) if row is not None else dialect_for(name)
    request = dialect_for(written_in).parse_request(members)
    if model:
        request = msgspec.structs.replace(request, model=model)
    receipts = Receipts()
    rendered = dialect.render_request(request, receipts)
    text = b"".join(piece if isinstance(piece, bytes) else b"".join(piece.blocks()) for piece in rendered.body)
    headers = {**(row.headers if row is not None else {}), **rendered.headers}
    query = "&".join(f"{name}={value}" for name, value in rendered.query.items())
    return Explanation(
        provider=name,
        dialect=dialect.name,
        url=(row.url if row is not None else "") + rendered.path + (f"?{query}" if query else ""),
        headers={name: _blot(name, text) for name, text in headers.items()},
        body=_shorten(msgspec.json.decode(text)),
        receipts=tuple(receipts),
    )


def _blot(name: str, text: str) -> str:
    """Show no key that the configuration has among its header fields."""
    for secret in sorted(filter(None, secret_texts([(name, text)])), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _shorten(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:60]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _shorten(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    return value
