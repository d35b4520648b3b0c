"""A file system that takes names for one which differ in case or in how Unicode spells them, and
keeps the spelling that came first: ``os`` as far as ``tree_names`` uses it."""

from __future__ import annotations

import os
from typing import Any
from unicodedata import normalize


class FoldingOs:
    """Stands in for the module; what is not here is that of the machine."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int) -> int:
        return os.open(_stored(name, dir_fd), flags, mode, dir_fd=dir_fd)

    def mkdir(self, name: str, *, dir_fd: int) -> None:
        os.mkdir(_stored(name, dir_fd), dir_fd=dir_fd)

    def symlink(self, target: str, name: str, *, dir_fd: int) -> None:
        os.symlink(target, _stored(name, dir_fd), dir_fd=dir_fd)

    def unlink(self, name: str, *, dir_fd: int) -> None:
        os.unlink(_stored(name, dir_fd), dir_fd=dir_fd)

    def stat(self, name: str, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        return os.stat(_stored(name, dir_fd), dir_fd=dir_fd, follow_symlinks=follow_symlinks)


def _stored(name: str, dir_fd: int) -> str:
    """How the name is spelled there already; as given if it is not there."""
    alike = [each for each in os.listdir(dir_fd) if _folded(each) == _folded(name)]
    return alike[0] if alike else name


def _folded(name: str) -> str:
    return normalize("NFD", name).casefold()
