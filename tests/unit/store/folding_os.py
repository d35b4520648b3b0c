"""A file system that takes names for one which differ in case or in how Unicode spells them, and
keeps the spelling that came first: ``os`` as far as ``tree_names`` uses it."""

from __future__ import annotations

import os
from typing import Any
from unicodedata import normalize

from dhtstore.store.files.names import listed


class FoldingOs:
    """Stands in for the module; what is not here is that of the machine."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, name: bytes, flags: int, mode: int = 0o777, *, dir_fd: int) -> int:
        return os.open(_stored(name, dir_fd), flags, mode, dir_fd=dir_fd)

    def mkdir(self, name: bytes, *, dir_fd: int) -> None:
        os.mkdir(_stored(name, dir_fd), dir_fd=dir_fd)

    def symlink(self, target: bytes, name: bytes, *, dir_fd: int) -> None:
        os.symlink(target, _stored(name, dir_fd), dir_fd=dir_fd)

    def unlink(self, name: bytes, *, dir_fd: int) -> None:
        os.unlink(_stored(name, dir_fd), dir_fd=dir_fd)

    def stat(self, name: bytes, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        return os.stat(_stored(name, dir_fd), dir_fd=dir_fd, follow_symlinks=follow_symlinks)


def _stored(name: bytes, dir_fd: int) -> bytes:
    """How the name is spelled there already; as given if it is not there."""
    alike = [each for each in listed(dir_fd) if _folded(each) == _folded(name)]
    return alike[0] if alike else name


def _folded(name: bytes) -> str:
    return normalize("NFD", name.decode()).casefold()
