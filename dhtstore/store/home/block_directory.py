"""A mark in the directory of blocks tells it from the empty mount point of a missing disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import close_quietly, sync_directory
from dhtstore.store.home.home import Home
from dhtstore.store.ours import check_directory

MARK: Final = "dhtstore-blocks"


def mark_blocks(home: Home) -> None:
    """Mark the directory of blocks of a new home, or of one that an earlier version made.

    Raises HomeUnusable if this home was used before and its blocks are not there.
    """
    try:
        _mark(home, home.blocks / MARK)
        check_directory(home.blocks)
    except OSError as error:
        raise HomeUnusable(f"cannot use {home.blocks}: {error.strerror}") from error


def check_blocks(home: Home) -> None:
    """As ``mark_blocks`` of a home that was used before, and changes nothing.  Raises
    HomeUnusable."""
    if not (home.blocks / MARK).exists() and not has_blocks(home.blocks):
        raise _gone(home)
    try:
        check_directory(home.blocks)
    except OSError as error:
        raise HomeUnusable(f"cannot use {home.blocks}: {error.strerror}") from error


def _gone(home: Home) -> HomeUnusable:
    return HomeUnusable(
        f"the blocks of this home are gone from {home.blocks}: if their disk is not mounted,"
        f" mount it; to go on without them: mkdir -p {home.blocks} && touch {home.blocks / MARK}"
    )


def _mark(home: Home, mark: Path) -> None:
    if mark.exists():
        return
    if not home.ledger.exists():
        home.blocks.mkdir(mode=0o700, exist_ok=True)
        _make(mark)
    elif has_blocks(home.blocks):
        with contextlib.suppress(OSError):  # reads are served from a full disk too
            _make(mark)
    else:
        raise _gone(home)


def has_blocks(directory: Path) -> bool:
    """Whether an index or a pack is there."""
    if not directory.is_dir():
        return False
    with os.scandir(directory) as entries:
        return any(entry.name.endswith((".sqlite", ".pack")) for entry in entries)


def _make(mark: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    close_quietly(os.open(mark, flags, 0o600))
    sync_directory(mark.parent)
