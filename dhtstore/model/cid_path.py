"""Paths below a CID as people write them: bare, or as an ``ipfs://`` URL."""

from __future__ import annotations

import re
from typing import Final

from dhtstore.errors import InvalidCid, InvalidPath, UsageError
from dhtstore.model.cid import Cid, misspelt

_SCHEME: Final = "ipfs://"
_CONTENT_PATH: Final = "/ipfs/"
_URL_MARGIN: Final = "".join(map(chr, range(0x21)))  # URL standard, basic URL parser, step 1
_NOT_IN_URLS: Final = str.maketrans("", "", "\t\n\r")  # step 3
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})|%")


def parse_cid_path(text: str) -> tuple[Cid, tuple[str, ...]]:
    """Split ``CID``, ``CID/path``, ``/ipfs/CID/path`` or ``ipfs://CID/path``.

    Names count as they stand, with every space, but in the URL, which is read as the URL standard
    says: its escapes are decoded and its dot segments followed.  Returns the root and the path's
    names; raises InvalidCid, and InvalidPath for an escape that is none or is no UTF-8, and for a
    query or a fragment, which would say nothing here.
    """
    _check_text(text)
    text = text.lstrip()
    if text[: len(_SCHEME)].lower() == _SCHEME:
        root, names = _split_url(text)
    else:
        root, _, rest = text.removeprefix(_CONTENT_PATH).partition("/")
        names = [name for name in rest.split("/") if name]
    for name in names:
        _check_name(name)
    return Cid.parse(root.strip()), tuple(names)


def as_one_spelling(text: str) -> str:
    """``CID/path`` for whatever spelling of it ``text`` is; other text as it stands: it may be
    what somebody calls it.  Raises InvalidPath, and InvalidCid for no text at all."""
    try:
        root, names = parse_cid_path(text)
    except InvalidPath:
        raise
    except InvalidCid:
        if not text.strip():
            raise
        return text
    return "/".join([str(root), *names])


def check_spelling(text: str) -> None:
    """Raises InvalidCid where ``text`` begins with what must be a CID, and is none."""
    if misspelt(text.partition("/")[0]):
        parse_cid_path(text)


def parse_root(text: str) -> Cid:
    """Raises InvalidCid, and UsageError for a path below a CID."""
    root, names = parse_cid_path(text)
    if names:
        raise UsageError(f"this is about a whole CID, not a path in it: {'/'.join(names)!r}")
    return root


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidPath(f"not UTF-8: {text[:80]!r}") from error


def _split_url(text: str) -> tuple[str, list[str]]:
    url = text.strip(_URL_MARGIN).translate(_NOT_IN_URLS)
    if "?" in url or "#" in url:
        raise InvalidPath(
            f"an address of content has no query and no fragment: {text[:80]!r}; in a name, '?' is"
            " written %3F and '#' %23"
        )
    root, _, rest = url[len(_SCHEME) :].partition("/")
    names: list[str] = []
    for segment in rest.split("/"):
        name = _unescaped(segment)
        if name == "..":
            names = names[:-1]
        elif name not in ("", "."):
            names.append(name)
    return root, names


def _unescaped(segment: str) -> str:
    def byte(escape: re.Match[bytes]) -> bytes:
        if escape[1] is None:
            raise InvalidPath(f"a '%' in a URL that is no escape: {segment[:80]!r}; write it %25")
        return bytes.fromhex(escape[1].decode())

    try:
        return _ESCAPED.sub(byte, segment.encode()).decode()
    except UnicodeDecodeError as error:
        raise InvalidPath(f"the escapes in {segment[:80]!r} are no UTF-8") from error


def _check_name(name: str) -> None:
    """No directory has such names; what they would mean elsewhere must not be guessed."""
    if name in (".", "..") or "/" in name or "\0" in name:
        raise InvalidPath(f"there is no name {name[:80]!r} in a path below a CID")
