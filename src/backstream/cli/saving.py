"""Media of an answer, saved as files: data URIs, and URLs of the server that answered. Never overwrites a file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from ssl import SSLContext
from typing import IO, Final, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from backstream.chunks import RawResponse
from backstream.cli.exits import say
from backstream.errors import BackstreamError, ConfigurationError, TooLargeError
from backstream.media import decode_data_uri, extension_of, is_data_uri, media_type_of, sniff
from backstream.reply import fold
from backstream.request import MediaPart, Part
from backstream.transport.session import StreamSession

__all__ = ["LONGEST_FILE_BYTES", "Origin", "Saver", "check_folder", "safe_name"]

LONGEST_FILE_BYTES: Final = 1024 * 1024 * 1024
_UNSAFE: Final = re.compile(r"[^\w.-]+")
_NOT_IN_LINKS: Final = re.compile(r"[^\w./:~-]")
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


class Origin(NamedTuple):
    """The server that answered; no other is asked for anything.

    Attributes:
        url: Where it is.
        headers: What it is sent with each request.
        ssl: As of the provider.
    """

    url: str
    headers: Mapping[str, str]
    ssl: SSLContext | str | PathLike[str] | bool | None

    def __repr__(self) -> str:
        return "<Origin>"


def check_folder(folder: Path) -> None:
    """Make the folder, where it does not exist, before anything is sent.

    Raises:
        ConfigurationError: It cannot be made, or is none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made: {error.strerror}", "name another with --output"
        ) from None


def safe_name(name: str, media_type: str | None, number: int) -> str:
    """Return a file name that is only that: no folder, no leading dot, nothing a system reserves.

    Args:
        name: What the server calls it; may be anything.
        media_type: Its type, for the extension; ``None`` where unknown.
        number: What to call it where nothing is left of the name.
    """
    cleaned = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip("._ -")[-80:].lstrip("._-")
    if not cleaned or _RESERVED.fullmatch(cleaned):
        cleaned = f"media-{number}"
    extension = extension_of(media_type) if media_type else None
    if extension and media_type_of(cleaned) is None:
        cleaned += extension
    return cleaned


class Saver:
    """Saves the media of one answer in a folder: data URIs as they arrive, all else once the answer is over.

    Args:
        folder: Where to save.

    Attributes:
        links: By data URI, the saved file as Markdown and HTML can name it.
    """

    def __init__(self, folder: Path) -> None:
        self.links: dict[str, str] = {}
        self._folder = folder
        self._news: list[str] = []
        self._done: set[str] = set()
        self._good = True

    def take(self, chunk: RawResponse) -> None:
        """Save the data URIs of a chunk. Says nothing yet: the answer may be on the same screen."""
        for url in fold([chunk]).media_urls:
            self._take(url)

    def take_part(self, part: Part) -> None:
        """Save a part of the whole answer, where it is media with its bytes."""
        if isinstance(part, MediaPart) and part.data:
            self._take(f"data:{part.media_type or 'application/octet-stream'};base64,{part.data}")

    def _take(self, url: str) -> None:
        if is_data_uri(url) and url not in self._done:
            with self._noting(url):
                path = self._decode(url)
                self._news.append(f"saved {path}")
                self.links[url] = _link_to(path)

    def tell(self) -> None:
        """Say where each went."""
        for line in self._news:
            say(line)
        self._news.clear()

    async def finish(self, urls: Iterable[str], origin: Origin | None) -> bool:
        """Save the rest, and say where everything went.

        Args:
            urls: All media URLs of the answer, relative ones to the server.
            origin: The server that answered; ``None`` where there is nothing to ask for.

        Returns:
            Whether everything was saved.
        """
        self.tell()
        for url in urls:
            if url not in self._done and origin is not None:
                with self._noting(url):
                    path = await _fetch(_resolve(url, origin.url), len(self._done), self._folder, origin)
                    self._news.append(f"saved {path}")
                self.tell()
        return self._good

    @contextlib.contextmanager
    def _noting(self, url: str) -> Iterator[None]:
        self._done.add(url)
        try:
            yield
        except (BackstreamError, OSError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            self._news.append(f"media {len(self._done)} was not saved: {what}")
            self._good = False

    def _decode(self, url: str) -> Path:
        found = decode_data_uri(url, max_bytes=LONGEST_FILE_BYTES)
        path, file = _create(self._folder, safe_name("", found.essence, len(self._done)))
        with file:
            file.write(found.data)
        return path


def _link_to(path: Path) -> str:
    """A path as Markdown and HTML can name it: with spaces, brackets, quotes and bytes that are no text escaped."""
    return _NOT_IN_LINKS.sub(lambda found: quote(os.fsencode(found[0])), path.as_posix())


def _resolve(url: str, base_url: str) -> str:
    """Make a URL absolute.

    Raises:
        ConfigurationError: It leads to another server.
    """
    base_url = base_url.rstrip("/")
    try:
        there, here = urlsplit(url), urlsplit(base_url)
        if not there.scheme and not there.netloc:
            return f"{base_url}/{url.lstrip('/')}"  # the protocol has relative URLs follow the server's, path and all
        if (there.scheme or here.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port):
            return urljoin(base_url, url)
    except ValueError:
        raise ConfigurationError("its URL is malformed", "look at it with --json") from None
    raise ConfigurationError("it lies on another server, which is not asked", f"fetch it yourself: {_shown(url)}")


async def _fetch(url: str, number: int, folder: Path, origin: Origin) -> Path:
    name = unquote(urlsplit(url).path)
    async with StreamSession(headers=dict(origin.headers), ssl=origin.ssl) as session, session.get(url) as response:
        response.raise_for_status()
        blocks = response.iter_content()
        head = b""
        async for block in blocks:
            head += block
            if len(head) >= 4096:
                break
        media_type = sniff(head, name) or response.headers.get("content-type", "").partition(";")[0]
        path, file = _create(folder, safe_name(name, media_type, number))
        try:
            with file:
                size = file.write(head)
                async for block in blocks:
                    size += file.write(block)
                    if size > LONGEST_FILE_BYTES:
                        raise TooLargeError("media", LONGEST_FILE_BYTES)
        except BaseException:  # also Ctrl-C: half a file must not pass for a whole one
            path.unlink(missing_ok=True)
            raise
        return path


def _create(folder: Path, name: str) -> tuple[Path, IO[bytes]]:
    """Create a file that did not exist; another name where it did."""
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    for number in range(1, 10_000):
        path = folder / (name if number == 1 else f"{stem}-{number}{dot}{extension}")
        try:
            return path, path.open("xb")
        except FileExistsError:
            continue
    raise ConfigurationError("there are too many files of that name", "name another folder with --output")


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
