"""One change of what lies below a directory, as a file system sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ChangeKind(IntEnum):
    """As in tests/crash/recorder.c."""

    CREATED = 1
    WRITTEN = 2
    CUT = 3
    SYNCED = 4
    SYNCED_NAMES = 5
    RENAMED = 6
    UNLINKED = 7
    MARK = 8


@dataclass(frozen=True, slots=True)
class FileChange:
    """``at`` is where a file was written, or the length that it got; ``text`` a path below the root
    (of a rename two), or a mark of the program's own."""

    kind: ChangeKind
    inode: int
    at: int = 0
    text: str = ""
    data: bytes = b""
