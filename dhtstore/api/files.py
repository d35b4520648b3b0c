"""Files of the user as operations take them: opened here, with the user's own permissions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dhtstore.errors import TargetUnusable


class OpenedTarget(NamedTuple):
    """Where a get writes: an open directory, and the name in it."""

    directory: int
    name: str


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
