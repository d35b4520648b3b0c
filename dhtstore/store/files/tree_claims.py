"""What of a tree its journal says is there: files that are finished, and parts of large ones."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable
from typing import Final

from dhtstore.content.dag.walk import File, Leaf
from dhtstore.store.files.partial import CHECKPOINT_BYTES, NOTE_BYTES
from dhtstore.store.files.spans import Spans
from dhtstore.store.files.tree_names import Path

_NOTE_FILES: Final = 256
_CHECKPOINT_FILES: Final = 4096
_SIZE: Final = struct.Struct("<Q")
_PART: Final = struct.Struct("<QQQ")  # _PART_MARK, begin and end, before the path
_PART_MARK: Final = 1 << 63  # no file is so large


class TreeClaims:
    """``size_bytes`` is how much of content an earlier run claims."""

    def __init__(self, entries: Iterable[bytes]) -> None:
        self.finished: dict[Path, int] = {}  # and how large they are
        self._parts: dict[Path, Spans] = {}
        for entry in entries:
            with contextlib.suppress(UnicodeDecodeError, struct.error):
                self._take(entry)
        for path in self.finished:
            self._parts.pop(path, None)
        parts_bytes = sum(spans.size_bytes for spans in self._parts.values())
        self.size_bytes = sum(self.finished.values()) + parts_bytes

    def covers(self, leaf: Leaf) -> bool:
        """Whether these bytes are claimed."""
        if leaf.path in self.finished:
            return True
        spans = self._parts.get(leaf.path)
        return spans is not None and spans.covers(leaf.offset, leaf.offset + leaf.size_bytes)

    def __contains__(self, path: Path) -> bool:
        """Whether anything of this file is claimed."""
        return path in self.finished or path in self._parts

    def parts(self, path: Path) -> Spans:
        """Of a file that is not finished, what is there."""
        return self._parts.get(path) or Spans()

    def drop(self, path: Path) -> int:
        """Nothing of the file is there any more; how much was claimed."""
        return self.finished.pop(path, 0) + self._parts.pop(path, Spans()).size_bytes

    def _take(self, entry: bytes) -> None:
        """An entry of another shape says nothing."""
        size_bytes = _SIZE.unpack_from(entry)[0]
        if size_bytes < _PART_MARK:
            self.finished[_path(entry[_SIZE.size :])] = size_bytes
        elif size_bytes == _PART_MARK:
            _, start, end = _PART.unpack_from(entry)
            self._parts.setdefault(_path(entry[_PART.size :]), Spans()).add(start, end)


class TreeNotes:
    """What was written and is not in the journal yet."""

    def __init__(self) -> None:
        self._unsynced_bytes = self._unsynced_files = 0
        self._finished: list[File] = []
        self._parts: dict[Path, Spans] = {}
        self._noted: dict[Path, Spans] = {}  # of files that are not finished
        self._bytes = 0

    def known(self, path: Path, spans: Spans) -> None:
        """The journal has these parts of the file already."""
        self._noted[path] = spans

    def wrote(self, file: File, start: int, end: int) -> None:
        """Of a small file only that it is finished is noted."""
        self._bytes += end - start
        if file.size_bytes >= NOTE_BYTES:
            self._parts.setdefault(file.path, Spans()).add(start, end)

    def finished(self, file: File) -> None:
        self._finished.append(file)
        self._unsynced_files += 1
        self._parts.pop(file.path, None)

    def take_unsynced(self) -> bool:
        """Whether it is time to sync what was written."""
        due = self._unsynced_bytes >= CHECKPOINT_BYTES or self._unsynced_files >= _CHECKPOINT_FILES
        if due:
            self._unsynced_bytes = self._unsynced_files = 0
        return due

    @property
    def due(self) -> bool:
        return self._bytes >= NOTE_BYTES or len(self._finished) >= _NOTE_FILES

    def take(self) -> tuple[list[bytes], int]:
        """Entries of the journal, and of how many bytes it then says what it did not before."""
        entries, new_bytes = list[bytes](), 0
        for file in self._finished:
            entries.append(_SIZE.pack(file.size_bytes) + _packed(file.path))
            new_bytes += file.size_bytes - self._noted.pop(file.path, Spans()).size_bytes
        for path, spans in self._parts.items():
            noted = self._noted.setdefault(path, Spans())
            before_bytes = noted.size_bytes
            for start, end in spans:
                entries.append(_PART.pack(_PART_MARK, start, end) + _packed(path))
                noted.add(start, end)
            new_bytes += noted.size_bytes - before_bytes
        self._unsynced_bytes += self._bytes
        self._finished, self._parts, self._bytes = [], {}, 0
        return entries, new_bytes


def _packed(path: Path) -> bytes:
    return "\0".join(path).encode()


def _path(packed: bytes) -> Path:
    return tuple(packed.decode().split("\0"))
