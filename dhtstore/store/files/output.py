"""Writing a file that is got: resumable while it is partial, and named only when it is whole."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dhtstore.content.dag.walk import File, Leaf, Output, Piece
from dhtstore.errors import DhtstoreError, IntegrityFailure, MalformedDag, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import close_quietly, write_error
from dhtstore.store.files.attributes import Attributes
from dhtstore.store.files.partial import (
    CHECKPOINT_BYTES,
    NOTE_BYTES,
    Partial,
    check_no_directory,
)
from dhtstore.store.files.spans import Spans
from dhtstore.store.files.sparse import lengthen, write_sparse

_SPAN: Final = struct.Struct("<QQ")


class FileOutput:
    """One file: a partial and the journal of its spans until it is whole.

    What the journal claims counts only once it was recalled, which hashes it again.
    ``claimed_bytes`` is how much an earlier run claims, ``kept_bytes`` how much the next will find.
    """

    def __init__(
        self, dir_fd: int, name: str, root: Cid, *, force: bool = False, part: bytes = b""
    ) -> None:
        """Raises as ``Partial``."""
        self._name = name
        if force:
            check_no_directory(dir_fd, name)
        self._partial = Partial(dir_fd, name, root, force=force, part=part)
        self._lock = threading.Condition()  # guards all below
        self._writing = 0  # threads that use the descriptor, which must not close under them
        self._size: int | None = None
        self._attributes = Attributes(None, None)
        self._spans = Spans()  # accepted
        self._recalled = Spans()  # found right where an earlier run wrote them
        self._unsaved: list[tuple[int, int]] = []
        self._unsaved_bytes = self._unsynced_bytes = 0
        self._saving = threading.Lock()
        self._fd = self._partial.open_file()
        self._claimed = claimed_spans(self._partial.journal.entries)
        self._saved = claimed_spans(self._partial.journal.entries)  # as the journal says now

    @property
    def claimed_bytes(self) -> int:
        return self._claimed.size_bytes

    @property
    def kept_bytes(self) -> int:
        return self._saved.size_bytes

    def claims(self, leaf: Leaf) -> bool:
        """Whether an earlier run says that it wrote these bytes."""
        return self._claimed.covers(leaf.offset, leaf.offset + leaf.size_bytes)

    def recall(self, leaf: Leaf, cid: Cid) -> bytes | None:
        """The bytes there, if they are what ``cid`` names; they are not written again."""
        try:
            with self._in_use():
                data = os.pread(self._fd, leaf.size_bytes, leaf.offset)
        except OSError:
            return None
        if not cid.matches(data):
            return None
        with self._lock:
            self._recalled.add(leaf.offset, leaf.offset + len(data))
        return data

    def accept(self, outputs: Sequence[Output]) -> None:
        """May be called from several threads.  Raises NoRoom (what is verified stays resumable)
        or MalformedDag."""
        for output in outputs:
            if isinstance(output, File):
                self._begin(output)
            elif isinstance(output, Piece):
                self._write(output)
            else:
                raise MalformedDag("a directory where a file was expected")

    def checkpoint(self) -> None:
        """Make what was accepted survive a power cut.  Raises NoRoom."""
        with self._saving:
            if self._fd >= 0:
                self._sync()
        self._note()

    def _note(self) -> None:
        """Make what was accepted survive the end of this process.  Raises NoRoom."""
        with self._saving:
            with self._lock:
                spans, self._unsaved = self._unsaved, []
                self._unsaved_bytes = 0
            if not spans or self._fd < 0:
                return
            merged = Spans()
            for span in spans:
                merged.add(*span)
            if self._partial.journal.append(_SPAN.pack(*span) for span in merged):
                for span in merged:
                    self._saved.add(*span)

    def finish(self) -> None:
        """Make it durable and give it its name.  Raises IntegrityFailure if a part is missing,
        TargetUnusable if the name was taken meanwhile, NoRoom."""
        if self._size is None or not self._spans.covers(0, self._size):
            raise IntegrityFailure(f"{self._name} is not whole yet")
        try:
            os.ftruncate(self._fd, self._size)
            self._attributes.apply(self._fd)
            os.fsync(self._fd)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        self._partial.publish(self._fd)
        self._release()

    def close(self) -> None:
        """Leave what was written for the next try, or nothing if that is nothing."""
        if self._fd < 0:
            return
        if self._spans or self._claimed:
            # Without room for the journal, what came since the last checkpoint is got again.
            with contextlib.suppress(DhtstoreError):
                self.checkpoint()
        else:
            with contextlib.suppress(OSError):  # an empty partial: a later run goes on with it
                self._partial.remove()
        self._release()

    def _begin(self, file: File) -> None:
        with self._lock:
            self._size, self._attributes = file.size_bytes, Attributes(file.mode, file.mtime)
            try:
                lengthen(self._fd, file.size_bytes, self._name)
            except OSError as error:
                raise write_error(error, self._name, TargetUnusable) from error

    def _write(self, piece: Piece) -> None:
        end = piece.offset + len(piece.data)
        if self._size is None or piece.offset < 0 or end > self._size:
            raise MalformedDag("a piece beyond the end of its file")
        if self._is_recalled(piece.offset, end):
            return
        try:
            with self._in_use():
                write_sparse(self._fd, piece.offset, piece.data)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        with self._lock:
            self._spans.add(piece.offset, end)
            self._unsaved.append((piece.offset, end))
            self._unsaved_bytes += len(piece.data)
            self._unsynced_bytes += len(piece.data)
            sync = self._unsynced_bytes >= CHECKPOINT_BYTES
            note = self._unsaved_bytes >= NOTE_BYTES
            self._unsynced_bytes = 0 if sync else self._unsynced_bytes  # the others go on
        if sync:
            self.checkpoint()
        elif note:
            self._note()

    def _is_recalled(self, start: int, end: int) -> bool:
        with self._lock:
            known = self._recalled.covers(start, end)
            if known:
                self._spans.add(start, end)
            return known

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            if self._fd < 0:
                raise TargetUnusable(f"{self._name} was closed while it was written")
            self._writing += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing -= 1
                self._lock.notify_all()

    def _release(self) -> None:
        """A cancelled caller may have left a thread that still writes."""
        with self._saving, self._lock:
            self._lock.wait_for(lambda: self._writing == 0)
            close_quietly(self._fd)
            self._partial.journal.close()
            self._fd = -1


def claimed_spans(entries: Iterable[bytes]) -> Spans:
    """What the journal says; an entry of another shape says nothing."""
    claimed = Spans()
    for entry in entries:
        if len(entry) == _SPAN.size:
            claimed.add(*_SPAN.unpack(entry))
    return claimed
