"""Names as they stand in directories: bytes, which are UTF-8 text to us whatever the locale says.

Calls to the system get these bytes, never text: Python would spell that as the locale does.
"""

from __future__ import annotations

import os


def on_disk(name: str) -> bytes:
    """What a name is in a directory."""
    return name.encode()


def from_disk(raw: bytes) -> str:
    """The name that these bytes are; raises UnicodeDecodeError unless they are UTF-8."""
    return raw.decode()


def listed(fd: int) -> list[bytes]:
    """The names in an open directory, in their order.  Raises OSError."""
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def readable(raw: bytes) -> str:
    """For messages: whatever the bytes are, something that people can read."""
    return raw.decode(errors="backslashreplace")
