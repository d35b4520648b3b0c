"""Importing an archive: its entries become a directory without being unpacked to a disk.

data path: bytes of the archive -> a buffer -> entries, in steps in a worker -> leaves as they come,
names and CIDs in memory, since the last entry of a name is what counts -> directories, bottom up.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from dhtstore.content.builders.importer import FileBuilder
from dhtstore.errors import DhtstoreError, UnreadableSource
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.folders import Building, Folder, Path
from dhtstore.node.importing.group import link_of
from dhtstore.params import (
    MIB,
    PATTERN_STEPS_AT_ONCE,
    TAR_ENTRIES_MAX,
    TAR_NAMES_MAX_BYTES,
)
from dhtstore.store.files.sources.excluding import IGNORE_FILE, Exclusion
from dhtstore.store.files.sources.file import FileSource, refusal
from dhtstore.store.files.sources.tar import TarEntry, TarReader

STEP_ENTRIES: Final = 64
PATTERNS_HELD_MAX_BYTES: Final = 16 * MIB  # of all files of patterns in one archive


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive to put, as its bytes come, out of ``file`` if that is one; ``exclusion`` is what
    to leave out."""

    pieces: AsyncGenerator[bytes, None]
    name: str
    exclusion: Exclusion
    file: FileSource | None = None


@dataclass(slots=True)
class _OpenFile:
    """A file whose content is not over; ``wanted`` if it is to be stored; ``rest`` was read of it
    behind the last chunk."""

    entry: TarEntry
    builder: FileBuilder
    wanted: bool
    offset: int = 0
    rest: bytes = b""


class ArchiveImport:
    """One archive on its way into the store."""

    def __init__(self, batch: ImportBatch, source: Archive) -> None:
        self._batch, self._source = batch, source
        self._exclusion = source.exclusion.begun()
        self._effort = self._exclusion.effort
        self._reader = TarReader(source.name)
        self._root = Folder()
        self._file: _OpenFile | None = None
        self._entries = self._names_bytes = self._patterns_bytes = 0
        self._ended = False

    async def run(self) -> Imported:
        """Raises UnreadableSource for what is no archive, and where nothing may be skipped; what
        the pieces raise."""
        async for piece in self._source.pieces:
            if not self._ended:  # else it is filled up to a whole record
                self._reader.feed(piece)
            while self._reader.ready and not self._ended:
                await self._advance()
        self._reader.end()
        while not self._ended:
            await self._advance()
        return await Building(self._batch, self._source.name).run(self._root, self._exclusion)

    # --- in steps ---------------------------------------------------------------------------

    async def _advance(self) -> None:
        await self._batch.advance(await self._batch.disk.blocking.run(self._step))

    def _step(self) -> int:
        """In a worker: some entries, or up to two leaves of one; how much content that was."""
        self._reader.begin()
        chunk, done_bytes = self._batch.profile.chunk_size_bytes, 0
        due = self._effort.spent + PATTERN_STEPS_AT_ONCE
        for _ in range(STEP_ENTRIES):
            if done_bytes >= chunk or self._ended or self._effort.spent >= due:
                break
            if self._file is None:
                entry = self._reader.next()
                if entry is None:
                    self._ended = True
                else:
                    self._enter(entry)
            if self._file is not None:
                done_bytes += self._read_on(self._file, chunk)
        return done_bytes

    def _enter(self, entry: TarEntry) -> None:
        self._count(entry.path[-1] if entry.path else "")
        wanted = not self._left_out(entry)
        self._file = _OpenFile(entry, FileBuilder(self._batch.profile), wanted)
        if entry.kind == "file":
            return
        self._file.wanted = False  # whatever content it claims is passed over
        if not wanted:
            return
        try:
            self._enter_at_once(entry)
        except UnreadableSource as error:
            self._batch.manner.skip(entry.path, error)

    def _enter_at_once(self, entry: TarEntry) -> None:
        """What needs no content.  Raises UnreadableSource."""
        metadata = self._batch.manner.kept(entry.metadata)
        if entry.failure is not None:
            raise entry.failure
        if entry.kind == "directory":
            self._folder(entry.path).metadata = metadata
        elif entry.kind == "symlink":
            label = self._reader.label(entry.path)
            made, block = link_of(self._batch, entry.path, entry.target, metadata, label)
            self._batch.put(block)
            self._place(entry.path, made)
        else:
            self._place(entry.path, self._linked(entry))

    def _left_out(self, entry: TarEntry) -> bool:
        """Itself, or a directory that it is in, by what was given; what the archive says itself
        shows when all of it is there."""
        excludes, path = self._exclusion.excludes, entry.path
        above = any(excludes(path[:end], True) for end in range(1, len(path)))
        return above or (bool(path) and excludes(path, entry.kind == "directory"))

    def _read_on(self, file: _OpenFile, chunk: int) -> int:
        """The next leaf of it."""
        before_bytes = len(file.rest)
        data = file.rest + self._reader.read(chunk - before_bytes)
        read_bytes = len(data) - before_bytes
        ended = len(data) < chunk or file.offset + len(data) >= file.entry.size_bytes
        at = self._batch.profile.cut(memoryview(data)) if file.wanted else len(data)
        data, file.rest = data[:at], data[at:]
        whole = ended and not file.rest
        if file.wanted:
            if whole and not file.offset:
                self._finish(file, self._small(file.entry, data), data)
            else:
                self._add_leaf(file, data)
                if whole:
                    self._finish(file, self._large(file))
        file.offset += len(data)
        if whole:
            self._file = None
        return read_bytes

    def _small(self, entry: TarEntry, data: bytes) -> Imported:
        metadata = self._batch.manner.kept(entry.metadata)
        return self._batch.put_small(data, entry.path, metadata)

    def _add_leaf(self, file: _OpenFile, data: bytes) -> None:
        if data:
            leaf = self._batch.put_leaf(data, file.entry.path, file.offset)
            self._batch.put_all(file.builder.add_leaf(*leaf))

    def _large(self, file: _OpenFile) -> Imported:
        root = file.builder.finish(self._batch.manner.kept(file.entry.metadata))
        self._batch.put_all(root.blocks)
        return Imported(root.cid, root.size_bytes, root.tsize_bytes, root.height)

    def _finish(self, file: _OpenFile, made: Imported, patterns: bytes = b"") -> None:
        path = file.entry.path
        try:
            self._place(path, made)
        except UnreadableSource as error:
            self._batch.manner.skip(path, error)
            return
        if path[-1] == IGNORE_FILE:
            self._patterns_bytes += len(patterns)
            if self._patterns_bytes > PATTERNS_HELD_MAX_BYTES:
                raise refusal(self._source.name, f"has too much in files {IGNORE_FILE}")
            self._folder(path[:-1]).patterns = patterns

    # --- the tree so far --------------------------------------------------------------------

    def _folder(self, path: Path) -> Folder:
        """The directory ``path``, made where the archive has none.  Raises UnreadableSource where
        something else has its name; as the last of a path that gives way."""
        folder = self._root
        for depth, name in enumerate(path):
            found = folder.entries.get(name)
            if not isinstance(found, Folder):
                if found is not None and depth < len(path) - 1:
                    raise self._refusal(path, "lies below what is no directory in it")
                if depth < len(path) - 1:  # else it was counted as an entry
                    self._count(name)
                found = folder.entries[name] = Folder()
            folder = found
        return folder

    def _place(self, path: Path, made: Imported) -> None:
        parent = self._root
        for name in path[:-1]:
            found = parent.entries.get(name)
            if found is None:
                self._count(name)
                found = parent.entries[name] = Folder()
            if not isinstance(found, Folder):
                raise self._refusal(path, "lies below what is no directory in it")
            parent = found
        there = parent.entries.get(path[-1])
        if isinstance(there, Folder) and there.entries:
            raise self._refusal(path, "is a directory in it, too, which is not empty")
        parent.entries[path[-1]] = made

    def _count(self, name: str) -> None:
        """One thing more in memory: an entry, or a directory that has none of its own."""
        self._entries += 1
        self._names_bytes += len(name) * (1 if name.isascii() else 4)
        if self._entries > TAR_ENTRIES_MAX or self._names_bytes > TAR_NAMES_MAX_BYTES:
            raise refusal(self._source.name, "has too many entries to put them as one archive")

    def _linked(self, entry: TarEntry) -> Imported:
        found: Imported | Folder | None = self._root
        for name in entry.linked:
            found = found.entries.get(name) if isinstance(found, Folder) else None
        if not isinstance(found, Imported):
            raise self._refusal(entry.path, "is another name of what does not stand before it")
        return found

    def _refusal(self, path: Path, why: str) -> DhtstoreError:
        return refusal(self._reader.label(path), why)
