"""Names as they stand in directories: bytes, which are UTF-8 text to us whatever the locale says,
and what is not UTF-8 is escaped (``model/names.py``).

Calls to the system get these bytes, never text: Python would spell that as the locale does.
"""

from __future__ import annotations

import os

from dhtstore.model.names import bytes_of


def on_disk(name: str) -> bytes:
    """What a name is in a directory."""
    return bytes_of(name)


def listed(fd: int) -> list[bytes]:
    """The names in an open directory, in their order.  Raises OSError."""
    return sorted(os.fsencode(name) for name in os.listdir(fd))


def readable(raw: bytes) -> str:
    """For messages: whatever the bytes are, something that people can read."""
    return raw.decode(errors="backslashreplace")
