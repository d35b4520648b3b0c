"""Writing a directory tree that is got.  Whatever the tree says, nothing outside is touched."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from dhtstore.content.dag.walk import Directory, File, Leaf, Output, Piece, Symlink
from dhtstore.errors import DhtstoreError, IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import close_quietly, write_error, write_fully
from dhtstore.store.files.attributes import Attributes, LateAttributes, apply_to_link
from dhtstore.store.files.partial import Partial
from dhtstore.store.files.spans import Spans
from dhtstore.store.files.sparse import SPARSE_MIN_BYTES, lengthen, write_sparse
from dhtstore.store.files.tree_claims import TreeClaims, TreeNotes
from dhtstore.store.files.tree_names import Path, TreeNames, keep_open, path_text

_TWICE: Final = frozenset((errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP))


class TreeOutput:
    """One directory: a partial and the journal of what is in it until it is whole.

    What the journal claims counts only once it was recalled, which hashes it again.
    ``claimed_bytes`` is how much an earlier run claims, ``kept_bytes`` how much the next will find.
    """

    def __init__(self, dir_fd: int, name: str, root: Cid, *, force: bool = False) -> None:
        """Raises as ``Partial``."""
        self._partial = Partial(dir_fd, name, root, force=force)
        self._lock = threading.Lock()  # guards all below
        self._files: dict[Path, tuple[File, Spans]] = {}  # begun and not finished
        self._recalled: dict[Path, Spans] = {}  # found right where an earlier run wrote them
        self._notes = TreeNotes()
        self._open: OrderedDict[Path, int] = OrderedDict()
        self._late = LateAttributes()
        self._own = Attributes(None, None)  # of the tree's root
        self._fd = self._partial.open_directory()
        try:
            self._names = TreeNames(self._fd, resumed=self._partial.journal.resumed)
        except OSError as error:
            close_quietly(self._fd)
            self._partial.journal.close()
            raise write_error(error, self._partial.name, TargetUnusable) from error
        self._claimed = TreeClaims(self._partial.journal.entries)
        self.claimed_bytes = self.kept_bytes = self._claimed.size_bytes

    def claims(self, leaf: Leaf) -> bool:
        """Whether an earlier run says that it wrote these bytes."""
        return self._claimed.covers(leaf)

    def recall(self, leaf: Leaf, cid: Cid) -> bytes | None:
        """The bytes there, if they are what ``cid`` names; they are not written again."""
        try:
            data = self._read(leaf)
        except (OSError, MalformedDag):
            return None
        if data is None or not cid.matches(data):
            return None
        with self._lock:
            if not self._claimed.covers(leaf):
                return None
            known = self._recalled.setdefault(leaf.path, Spans())
            known.add(leaf.offset, leaf.offset + len(data))
        return data

    def accept(self, outputs: Sequence[Output]) -> None:
        with self._lock:
            for output in outputs:
                try:
                    self._accept(output)
                except OSError as error:
                    if error.errno in _TWICE:
                        text = f"{path_text(output.path)} is in the tree twice"
                        raise MalformedDag(text) from error
                    raise write_error(error, path_text(output.path), TargetUnusable) from error
            if self._notes.due:
                self._note()

    def finish(self) -> None:
        with self._lock:
            if self._files:
                unfinished = path_text(next(iter(self._files)))
                raise IntegrityFailure(f"{unfinished} is not whole yet")
            self._close_files()
            self._names.check_all_met()
            try:
                self._late.apply(self._names.open_any)
                _sync_file_system(self._fd)
                self._partial.publish(self._fd)
                self._own.apply(self._fd)  # now only: a partial must be open to go on
            except OSError as error:
                raise write_error(error, self._partial.target, TargetUnusable) from error
            self._release()

    def close(self) -> None:
        with self._lock:
            if self._fd < 0:
                return
            # Without room for the journal, what was written last is got again.
            with contextlib.suppress(DhtstoreError):
                self._note()
                _sync_file_system(self._fd)
            self._close_files()
            with contextlib.suppress(OSError):  # not empty: something is there to resume
                self._partial.remove()
            self._release()

    def _read(self, leaf: Leaf) -> bytes | None:
        with self._lock:
            if self._fd < 0:
                return None
            fd = self._names.open_file(leaf.path, os.O_RDONLY)
        try:
            return os.pread(fd, leaf.size_bytes, leaf.offset)
        finally:
            close_quietly(fd)

    def _accept(self, output: Output) -> None:
        if isinstance(output, Piece):
            self._write(output)
        elif isinstance(output, File):
            self._begin(output)
        elif isinstance(output, Symlink):
            parent, name = self._names.make_link(output.path, output.target)
            apply_to_link(parent, name, output.mtime)
        elif isinstance(output, Directory):
            self._make_directory(output)

    def _make_directory(self, directory: Directory) -> None:
        """Its mode and time come last: it could not be filled, and what comes into it sets its
        time."""
        attributes = Attributes(directory.mode, directory.mtime)
        if not directory.path:
            self._own = attributes
            return
        self._names.make_directory(directory.path, directory.mode)
        self._late.add(directory.path, attributes)

    def _begin(self, file: File) -> None:
        fd, kept = self._names.make_file(file.path, keep=file.path in self._claimed)
        keep_open(self._open, file.path, fd)
        if not kept:
            self.kept_bytes -= self._claimed.drop(file.path)
            self._recalled.pop(file.path, None)
        else:
            self._notes.known(file.path, self._claimed.parts(file.path))
            if os.fstat(fd).st_size > file.size_bytes:
                os.ftruncate(fd, file.size_bytes)
        self._files[file.path] = (file, Spans())
        if file.size_bytes >= SPARSE_MIN_BYTES:
            lengthen(fd, file.size_bytes, path_text(file.path))
        self._finish_if_whole(file.path)

    def _write(self, piece: Piece) -> None:
        file, spans = self._files.get(piece.path, (None, None))
        end = piece.offset + len(piece.data)
        if file is None or spans is None or piece.offset < 0 or end > file.size_bytes:
            raise MalformedDag(f"a piece beyond the end of {path_text(piece.path)}")
        recalled = self._recalled.get(piece.path)
        if recalled is None or not recalled.covers(piece.offset, end):
            write = write_sparse if file.size_bytes >= SPARSE_MIN_BYTES else write_fully
            write(self._descriptor(piece.path), piece.offset, piece.data)
            self._notes.wrote(file, piece.offset, end)
        spans.add(piece.offset, end)
        self._finish_if_whole(piece.path)

    def _finish_if_whole(self, path: Path) -> None:
        file, spans = self._files[path]
        if not spans.covers(0, file.size_bytes):
            return
        attributes = Attributes(file.mode, file.mtime)
        if file.mode is None or file.mode & 0o600 == 0o600:
            attributes.apply(self._descriptor(path))
        else:  # a run that goes on has to read and write it
            self._late.add(path, attributes)
        close_quietly(self._open.pop(path))
        del self._files[path]
        self._recalled.pop(path, None)
        if self._claimed.finished.get(path) != file.size_bytes:
            self._notes.finished(file)

    def _note(self) -> None:
        entries, new_bytes = self._notes.take()
        if entries and self._partial.journal.append(entries):
            self.kept_bytes += new_bytes
        if self._notes.take_unsynced():
            _sync_file_system(self._fd)

    def _descriptor(self, path: Path) -> int:
        fd = self._open.get(path)
        if fd is None:
            fd = self._names.open_file(path, os.O_WRONLY)
            keep_open(self._open, path, fd)
        return fd

    def _close_files(self) -> None:
        while self._open:
            close_quietly(self._open.popitem()[1])

    def _release(self) -> None:
        self._names.close()
        self._late.close()
        close_quietly(self._fd)
        self._partial.journal.close()
        self._fd = -1


def _sync_file_system(fd: int) -> None:
    """syncfs(2): one wait for any number of small files; sync(2) where there is none."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise write_error(OSError(code, os.strerror(code)), "the directory", TargetUnusable)
