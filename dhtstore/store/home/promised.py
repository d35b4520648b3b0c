"""What the nodes of this user have promised of one disk: a file for each node that runs, locked for
as long as it does.  Where there can be no such files, nodes do not see each other's promises.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable
from dhtstore.store.disk import close_quietly, write_fully
from dhtstore.store.home.home import Home
from dhtstore.store.home.places import disk_of
from dhtstore.store.ours import READ_FLAGS, check_directory, check_file
from dhtstore.store.space import Space

_LOOKED_AT_MAX: Final = 1000  # nodes of one user on one machine
_FILE_MAX_BYTES: Final = 16_384  # a path has 4,096 at most, each escaped
_WRITE_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REWRITE_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TRIES: Final = 3  # somebody may take a file for stale between making and locking it


@contextmanager
def promising(home: Home, capacity_bytes: int) -> Iterator[None]:
    """While it lasts, other nodes of this user see what this one has promised of its disk."""
    held: list[tuple[Path, int]] = []
    with suppress(OSError, HomeUnusable, RuntimeError):
        path = _file_of(home)
        held.append((path, _locked(path)))
        _write(held[0][1], home, capacity_bytes)
    try:
        yield
    finally:
        for path, fd in held:
            with suppress(OSError):
                path.unlink()
            close_quietly(fd)


def promise_anew(home: Home, capacity_bytes: int) -> None:
    """Another number, while the node of ``home`` promises."""
    with suppress(OSError, HomeUnusable, RuntimeError):
        path = _file_of(home)
        fd = os.open(path, _REWRITE_FLAGS)
        try:
            check_file(path, os.fstat(fd))
            _write(fd, home, capacity_bytes)
        finally:
            close_quietly(fd)


def _write(fd: int, home: Home, capacity_bytes: int) -> None:
    """Raises OSError.  Who reads half of it takes it for nothing, and looks again."""
    text = json.dumps({"blocks": str(home.blocks), "capacity": capacity_bytes})
    os.ftruncate(fd, 0)
    write_fully(fd, 0, text.encode())


def promised_beside(home: Home) -> int:
    """What other nodes that run on the disk of ``home`` have promised and not used yet."""
    try:
        directory, device, own = _directory(), _device(home.blocks), _file_of(home).name
        check_directory(directory)
        with os.scandir(directory) as entries:
            names = [each.name for each in islice(entries, _LOOKED_AT_MAX)]
    except (OSError, HomeUnusable, RuntimeError):
        return 0
    return sum(_unused_bytes(directory / name, device) for name in names if name != own)


def space_of(home: Home, capacity_bytes: int) -> Space:
    """The room of a home whose store is not opened, if it gave so much."""
    free_bytes = disk_of(home).free_bytes
    return Space(
        capacity_bytes,
        size_bytes(home.blocks),
        disk_free_bytes=free_bytes,
        beside_bytes=promised_beside(home),
    )


def _directory() -> Path:
    """Raises RuntimeError where this user has no home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "dhtstore" / "nodes"


def _file_of(home: Home) -> Path:
    digest = hashlib.sha256(os.fsencode(home.path.resolve())).hexdigest()
    return _directory() / digest[:32]


def _locked(path: Path) -> int:
    """The file there, which is ours and locked.  Raises OSError, HomeUnusable."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_directory(path.parent)
    for _ in range(_TRIES):
        fd = os.open(path, _WRITE_FLAGS, 0o600)
        try:
            check_file(path, os.fstat(fd))
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), path.lstat()):
                return fd
        except (FileNotFoundError, BlockingIOError):
            pass  # taken away as stale just before it was locked, or looked at just now
        except BaseException:
            close_quietly(fd)
            raise
        close_quietly(fd)
    raise FileNotFoundError(path)


def _unused_bytes(path: Path, device: int) -> int:
    """Of the node that holds this file, if it is on that device; 0 of one that has ended, whose
    file goes, and where the file says nothing that can be believed."""
    try:
        fd = os.open(path, READ_FLAGS)
    except OSError:
        return 0
    try:
        check_file(path, os.fstat(fd))
        if _stale(fd):
            path.unlink()
            return 0
        told = json.loads(os.pread(fd, _FILE_MAX_BYTES, 0))
        blocks, capacity = Path(told["blocks"]), told["capacity"]
        if not isinstance(capacity, int) or _device(blocks) != device:
            return 0
        return max(0, capacity - size_bytes(blocks))
    except (OSError, HomeUnusable, ValueError, TypeError, KeyError, RecursionError):
        return 0
    finally:
        close_quietly(fd)


def _stale(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _device(blocks: Path) -> int:
    """Where the blocks lie, or will lie.  Raises OSError."""
    with suppress(FileNotFoundError):
        return blocks.stat().st_dev
    return blocks.parent.stat().st_dev


def size_bytes(blocks: Path) -> int:
    """Of the files there.  Raises OSError."""
    try:
        with os.scandir(blocks) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except FileNotFoundError:  # not made yet, or a file that went just now: soon enough
        return 0
