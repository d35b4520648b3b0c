"""Files of the user as operations take them: opened here, with the user's own permissions."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from dhtstore.errors import TargetUnusable, UnreadableSource
from dhtstore.operations.content import SourceKind


class OpenedSource(NamedTuple):
    """What a put takes: an open descriptor, what it is, and what it is called."""

    descriptor: int
    kind: SourceKind
    name: str


class OpenedTarget(NamedTuple):
    """Where a get writes: an open directory, and the name in it."""

    directory: int
    name: str


def open_source(path: str | os.PathLike[str]) -> OpenedSource:
    """Raises UnreadableSource for what is missing, unreadable, or no file and no directory."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableSource(f"cannot read {os.fspath(path)}: {reason}") from error
    mode = os.fstat(descriptor).st_mode
    name = os.fsencode(Path(path).resolve().name).decode(errors="replace")
    if stat.S_ISDIR(mode):
        return OpenedSource(descriptor, "directory", name)
    if stat.S_ISREG(mode):
        return OpenedSource(descriptor, "file", name)
    os.close(descriptor)
    if stat.S_ISFIFO(mode):  # nobody could tell its end from a writer that is not there yet
        raise UnreadableSource(f"{os.fspath(path)} is a pipe: put what comes out of it as -")
    raise UnreadableSource(
        f"{os.fspath(path)} is neither a file nor a directory; use - to put a stream"
    )


def open_target(path: str | os.PathLike[str]) -> OpenedTarget:
    """The directory the target shall be in, checked before a byte moves; raises TargetUnusable."""
    text, target = os.fspath(path), Path(path)
    if text.endswith("/") and not target.is_dir():
        raise TargetUnusable(f"there is no directory {text}")
    name = _target_name(target)
    if os.path.lexists(target):
        raise TargetUnusable(f"{target} exists already")
    try:
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TargetUnusable(f"cannot write into {target.parent}: {error.strerror}") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        os.close(directory)
        raise TargetUnusable(f"cannot write into {target.parent}: Permission denied")
    return OpenedTarget(directory, name)


def _target_name(target: Path) -> str:
    """The bytes that the locale took it from are UTF-8, or it is refused."""
    if target.name in ("", ".."):
        raise TargetUnusable(f"{target} is no name for a file")
    try:
        return os.fsencode(target.name).decode()
    except UnicodeDecodeError as error:
        raise TargetUnusable(f"the name {target.name!r} is not UTF-8") from error
