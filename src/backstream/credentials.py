"""Keys as opaque values: they show themselves only while bytes are written.

Knows no variable, file or provider; who reads keys from where is decided above.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NoReturn

from backstream.errors import ConfigurationError

__all__ = ["Secret", "mask"]


def mask(key: str) -> str:
    """Return the form of a key that may be logged: ``key:`` and eight hex digits of its SHA-256.

    Enough to tell two keys apart, never enough to use one.
    """
    return "key:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class Secret:
    """A key that no ``repr``, format, log or pickle shows.

    Args:
        value: The key, or a callable that returns the key of the moment (rotating tokens); it is called each time the
            key is written, and must not block.
        origin: The only origin (``scheme://host:port``) the key may be sent to; ``None`` leaves that to the caller.

    Raises:
        ConfigurationError: The key is empty or holds control characters, which no header can carry.
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str | Callable[[], str], *, origin: str | None = None) -> None:
        if isinstance(value, str):
            _check(value)
        self._value: Final = value
        self.origin: Final = origin

    def reveal(self) -> str:
        """Return the key itself. Call it only where bytes are written.

        Raises:
            ConfigurationError: A rotating key came out empty or with control characters.
        """
        if isinstance(self._value, str):
            return self._value
        key = self._value()
        _check(key)
        return key

    @property
    def masked(self) -> str:
        """The form that may be logged; a rotating key has only the word ``rotating``."""
        return mask(self._value) if isinstance(self._value, str) else "key:rotating"

    def __repr__(self) -> str:
        return f"<Secret {self.masked}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value and self.origin == other.origin

    def __hash__(self) -> int:
        return hash((Secret, self._value, self.origin))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied out of its process")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def _check(key: object) -> None:
    if not isinstance(key, str):
        raise ConfigurationError(f"the API key is a {type(key).__name__}", "give text, or a function that returns text")
    if not key.strip():
        raise ConfigurationError("the API key is empty", "pass a key, or leave api_key out")
    if any(ord(c) < 32 or ord(c) == 127 for c in key):
        raise ConfigurationError("the API key holds control characters", "check for a stray line end in its file")
