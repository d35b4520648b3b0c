"""Names of files, which are any bytes, as the text that directories of blocks are written in.

What is UTF-8 is that text, but for 128 characters of private use, U+F780 to U+F7FF.  Those stand
for the bytes 0x80 to 0xFF that are no part of UTF-8, one for one (byte 0xE9 is U+F7E9); where a
name has such a character itself, its three bytes are spelled so.  So every name comes back byte
for byte, no two become one, and all that people use keep the CIDs that IPFS tools give them.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPE_BASE: Final = 0xF700  # Linux keeps U+F000 to U+F7FF of the private use area for fonts
_BYTE_BASE: Final = 0xDC00  # of the surrogates that a lone byte is decoded to (PEP 383)
_TO_ESCAPE: Final = re.compile("[\udc80-\udcff\uf780-\uf7ff]")
_LONE_BYTES: Final = re.compile("[\udc80-\udcff]")
_ESCAPES: Final = re.compile("[\uf780-\uf7ff]")
_SPELLED: Final = re.compile(r"\\uf7([89a-f][0-9a-f])")


def name_of(raw: bytes) -> str:
    """The text that stands for these bytes; ``bytes_of`` gives them back."""
    text = raw.decode(errors="surrogateescape")
    return text if text.isascii() else _TO_ESCAPE.sub(_escape, text)


def name_of_argument(text: str) -> str:
    """A name as somebody gave it: as it was printed, or with bytes that are not UTF-8, which
    Python makes surrogates (PEP 383)."""
    return _LONE_BYTES.sub(_escape, text)


def bytes_of(name: str) -> bytes:
    """The bytes that a name stands for; raises UnicodeEncodeError for surrogates."""
    if name.isascii() or not _ESCAPES.search(name):
        return name.encode()
    name.encode()
    return _ESCAPES.sub(_byte, name).encode(errors="surrogateescape")


def quoted(name: str) -> str:
    """For messages: as Python quotes text, and bytes that are not UTF-8 as it quotes bytes."""
    return _SPELLED.sub(r"\\x\1", repr(name))


def _escape(found: re.Match[str]) -> str:
    raw = found[0].encode(errors="surrogateescape")
    return "".join(chr(_ESCAPE_BASE + byte) for byte in raw)


def _byte(found: re.Match[str]) -> str:
    return chr(ord(found[0]) - _ESCAPE_BASE + _BYTE_BASE)
