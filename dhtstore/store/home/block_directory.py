"""A mark in the directory of blocks tells it from the empty mount point of a missing disk; and
blocks without a ledger are not those of a new home."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import close_quietly, sync_directory
from dhtstore.store.home.home import Home
from dhtstore.store.ours import check_directory

MARK: Final = "dhtstore-blocks"


def mark_blocks(home: Home) -> None:
    """Mark the directory of blocks of a new home, or of one that an earlier version made.

    Raises HomeUnusable if this home was used before and its blocks, or its ledger, are not there.
    """
    check_ledger(home)
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


def check_ledger(home: Home) -> None:
    """Raises HomeUnusable where blocks are stored and the ledger, which says whose they are and why
    they are kept, is missing or empty.  It is made before the first block: the blocks are kept for
    nobody then, and a node that went on would hold none of what it signed for."""
    log = home.ledger.with_name(f"{home.ledger.name}-wal")
    try:
        if _size_bytes(home.ledger) or _size_bytes(log) or not _has_packs(home.blocks):
            return
    except OSError as error:
        raise HomeUnusable(f"cannot use {home.path}: {error.strerror}") from error
    blocks, aside = (shlex.quote(str(each)) for each in (home.blocks, f"{home.blocks}.lost"))
    what = "empty" if home.ledger.exists() else "gone"
    raise HomeUnusable(
        f"the ledger of this home is {what}: {home.ledger}; with it went what was put, pinned and"
        f" promised to others, and the blocks in {home.blocks} are kept for nobody"
    ).hinted(
        "bring the ledger back from a backup; or go on as a node that holds nothing:"
        f" `mv {blocks} {aside} && rm -f {shlex.quote(str(home.ledger))}`, and put again what was"
        " put from here"
    )


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_packs(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    with os.scandir(directory) as entries:
        return any(entry.name.endswith(".pack") and entry.stat().st_size for entry in entries)


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
