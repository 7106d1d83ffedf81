"""The table of ordinary back-ends: where each one is, which dialect it speaks, whose key it takes, what is odd.

A new back-end of a known dialect is a new row and nothing else. Nothing here reads the environment, opens a connection
or imports a dialect: what a quirk does is the dialect's business, and who holds the key is decided above.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from backstream.errors import UnknownProviderError
from backstream.providers.rows_hosted import HOSTED
from backstream.providers.rows_local import LOCAL
from backstream.providers.rows_shape import Row, url_of

__all__ = ["ROWS", "Row", "row", "url_of"]

ROWS: Final[Mapping[str, Row]] = MappingProxyType({each.name: each for each in (*HOSTED, *LOCAL)})
"""Every row by its name, the hosted ones first."""


def row(name: str) -> Row:
    """Return the row of a back-end.

    Args:
        name: Its name, in any case.

    Raises:
        UnknownProviderError: There is no such row; the text names the nearest ones.
    """
    found = ROWS.get(name.lower())
    if found is None:
        raise UnknownProviderError(name, ROWS)
    return found
