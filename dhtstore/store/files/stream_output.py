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
    """``with`` a file that is not there yet: write to its ``descriptor``, then ``finish``.  Left
    without that, nothing stays.

    Raises TargetExists, TargetUnusable, NoRoom, as ``Partial``."""

    def __init__(self, dir_fd: int, name: str, *, force: bool = False) -> None:
        self._name = name
        if force:
            check_no_directory(dir_fd, name)
        self._partial = Partial(dir_fd, name, _ANY, force=force, part=b" stream")
        self.descriptor = self._partial.open_file()
        self._whole = False

    def __enter__(self) -> StreamOutput:
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError as error:
            self._release()
            raise write_error(error, self._name, TargetUnusable) from error
        return self

    def finish(self) -> None:
        """Make it durable and give it its name.  Raises NoRoom, TargetExists, TargetUnusable."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            raise write_error(error, self._name, TargetUnusable) from error
        self._partial.publish(self.descriptor)
        self._whole = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        if not self._whole:
            with suppress(OSError, DhtstoreError):
                self._partial.remove()
        close_quietly(self.descriptor)
        self._partial.journal.close()
