"""Paths below a CID as people write them: bare, or as an ``ipfs://`` URL."""

from __future__ import annotations

import re
from typing import Final

from dhtstore.errors import InvalidCid, InvalidPath, UsageError
from dhtstore.model.cid import Cid, misspelt
from dhtstore.model.names import bytes_of, name_of, name_of_argument, quoted

_SCHEME: Final = "ipfs://"
_CONTENT_PATH: Final = "/ipfs/"
_URL_MARGIN: Final = "".join(map(chr, range(0x21)))  # URL standard, basic URL parser, step 1
_NOT_IN_URLS: Final = str.maketrans("", "", "\t\n\r")  # step 3
_FILENAME: Final = "?filename="  # as the gateways of IPFS have it
_FILENAME_MAX_BYTES: Final = 255  # NAME_MAX of Linux
_NAME_PLACES: Final = ("/ipns/", "ipns://")
_NO_PLACES: Final = ("/", "/ipfs", "/ipfs/", "/ipns")
_GATEWAY: Final = re.compile(r"https?://[^/]+/ipfs/(\w.*)", re.IGNORECASE)
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})|%")


def parse_cid_path(text: str) -> tuple[Cid, tuple[str, ...]]:
    """Split ``CID``, ``CID/path``, ``/ipfs/CID/path`` or ``ipfs://CID/path``.

    Names count as they stand, with every space, but in the URL, which is read as the URL standard
    says: its escapes are decoded and its dot segments followed.  Each may end in
    ``?filename=NAME``, which is passed over here.  Bytes that are not UTF-8 are those of names.
    Returns the root and the path's names; raises InvalidCid, and InvalidPath for an escape that is
    none, for another query and for a fragment, which would say nothing here.
    """
    return _split(_parts(text)[0].lstrip())


def _split(text: str) -> tuple[Cid, tuple[str, ...]]:
    if _is_url(text):
        root, names = _split_url(text)
    else:
        root, _, rest = text.removeprefix(_CONTENT_PATH).partition("/")
        names = [name for name in rest.split("/") if name]
    for name in names:
        _check_name(name)
    return Cid.parse(root.strip()), tuple(names)


def file_name(text: str) -> str:
    """What a file or directory is called that ``text`` leads to: the NAME of ``?filename=``, else
    the last name of the path, else its CID, or what somebody calls it.  Raises InvalidPath."""
    place, name = _parts(text)
    if name:
        return name
    try:
        root, names = _split(place.lstrip())
    except InvalidPath:
        raise
    except InvalidCid:
        return place.rstrip("/").rpartition("/")[2]
    return names[-1] if names else str(root)


def as_one_spelling(text: str) -> str:
    """``CID/path`` for whatever spelling of it ``text`` is, the URL where only that tells a name
    from ``?filename=``; other text as it stands: it may be what somebody calls it.  Raises
    InvalidPath, and InvalidCid for no text at all."""
    text = _parts(text)[0]
    try:
        root, names = _split(text.lstrip())
    except InvalidPath:
        raise
    except InvalidCid:
        if not text.strip():
            raise
        return text
    spelled = "/".join([str(root), *names])
    if _FILENAME in spelled:
        from urllib.parse import quote

        return _SCHEME + "/".join([str(root), *(quote(bytes_of(name)) for name in names)])
    return spelled


def check_spelling(text: str) -> None:
    """Raises InvalidCid where ``text`` begins with what must be a CID, and is none."""
    if misspelt(text.partition("/")[0]):
        parse_cid_path(text)


def parse_root(text: str) -> Cid:
    """Raises InvalidCid, and UsageError for a path below a CID."""
    root, names = parse_cid_path(text)
    if names:
        raise UsageError(f"this is about a whole CID, not a path in it: {quoted('/'.join(names))}")
    return root


def _parts(text: str) -> tuple[str, str]:
    """What stands before ``?filename=``, and the name behind it, "" if there is none."""
    text = name_of_argument(text)
    _check_text(text)
    _check_place(text.strip())
    if _is_url(text.lstrip()):
        text = text.strip(_URL_MARGIN).translate(_NOT_IN_URLS)
    place, mark, escaped = text.rpartition(_FILENAME)
    return (place, _queried(escaped)) if mark else (text, "")


def _check_place(text: str) -> None:
    """Raises InvalidCid for what addresses of IPFS look like elsewhere, with what to write here."""
    if text.lower().startswith(_NAME_PLACES):
        raise InvalidCid(f"IPNS is not supported: {quoted(text[:80])}").hinted(
            "give the CID that the name stands for: `ipfs name resolve` tells it"
        )
    if text in _NO_PLACES:
        raise InvalidCid(f"there is no CID in {text!r}").hinted("write CID, CID/path or ipfs://CID")
    if gateway := _GATEWAY.match(text):
        raise InvalidCid("an address of a gateway is no CID").hinted(
            f"take the CID out of the gateway address: {gateway[1][:200]}"
        )


def _queried(escaped: str) -> str:
    """The NAME of ``?filename=NAME``, escaped as in a query.  Raises InvalidPath for what is no
    name of a file: it may come from anybody."""
    if "&" in escaped or "#" in escaped:
        raise InvalidPath(
            "of what may stand behind a CID only ?filename= says something here; in its name '&'"
            " is written %26 and '#' %23"
        )
    name = _unescaped(escaped.replace("+", " "))
    if not name:
        raise InvalidPath("?filename= without a name")
    _check_name(name)
    if len(bytes_of(name)) > _FILENAME_MAX_BYTES:
        raise InvalidPath(f"?filename= with a name of more than {_FILENAME_MAX_BYTES} bytes")
    return name


def _is_url(text: str) -> bool:
    return text[: len(_SCHEME)].lower() == _SCHEME


def format_link(root: Cid, filename: str) -> str:
    """``CID?filename=NAME``, as gateways spell it: a file with the name that it is to have.  What
    is no letter or digit of ASCII is escaped."""
    from urllib.parse import quote

    return f"{root}{_FILENAME}{quote(bytes_of(filename), safe='')}"


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidPath(f"not UTF-8: {text[:80]!r}") from error


def _split_url(text: str) -> tuple[str, list[str]]:
    if "?" in text or "#" in text:
        raise InvalidPath(
            f"an address of content has no query but ?filename= and no fragment: {text[:80]!r}; in"
            " a name, '?' is written %3F and '#' %23"
        )
    root, _, rest = text[len(_SCHEME) :].partition("/")
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

    return name_of(_ESCAPED.sub(byte, bytes_of(segment)))


def _check_name(name: str) -> None:
    """No directory has such names; what they would mean elsewhere must not be guessed."""
    if name in (".", "..") or "/" in name or "\0" in name:
        raise InvalidPath(f"there is no name {quoted(name[:80])} in a path below a CID")
