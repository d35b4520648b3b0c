"""Writing a stream to a file that has its name only when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Final

from dhtstore.errors import DhtstoreError, TargetUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.disk import close_quietly, write_error
from dhtstore.store.files.partial import Partial, check_no_directory

_ANY: Final = Cid.of(b"")  # a stream begins anew each time, whatever it is of


class StreamOutput:
    """A file that is not there yet: write to its ``descriptor``, then ``finish``; ``close`` in any
    case, or use it with ``with``.  Left unfinished, nothing stays."""

    def __init__(self, dir_fd: int, name: str, *, force: bool = False) -> None:
        """Raises TargetExists, TargetUnusable, NoRoom, as ``Partial``."""
        self._name = name
        if force:
            check_no_directory(dir_fd, name)
        self._partial = Partial(dir_fd, name, _ANY, force=force, part=b" stream")
        self.descriptor = self._partial.open_file()
        self._whole = self._closed = False
        try:
            os.ftruncate(self.descriptor, 0)  # a run that was killed may have left more
        except OSError as error:
            self.close()
            raise write_error(error, self._name, TargetUnusable) from error

    def finish(self) -> None:
        """Make it durable and give it its name.  Raises NoRoom, TargetExists, TargetUnusable."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        self._partial.publish(self.descriptor)
        self._whole = True

    def close(self) -> None:
        """May be called twice."""
        if self._closed:
            return
        self._closed = True
        if not self._whole:
            with suppress(OSError, DhtstoreError):
                self._partial.remove()
        close_quietly(self.descriptor)
        self._partial.journal.close()

    def __enter__(self) -> StreamOutput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
