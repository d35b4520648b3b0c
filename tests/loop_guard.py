"""Notices file operations that the program does on an event loop: they belong in worker threads.

Whatever ``dhtstore/store`` asks of the system or of SQLite is looked at, in a thread that runs an
event loop, unless a test called the store itself or disk work runs inline as in a simulation.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = f"{ROOT / 'dhtstore'}{os.sep}"
STORE: Final = f"{ROOT / 'dhtstore' / 'store'}{os.sep}"
INLINE: Final = {
    # disk work runs inline in a simulation, and checkers look at disks between two steps of it
    str(ROOT / "simulations" / "world" / "ports" / "blocking.py"),
    str(ROOT / "simulations" / "nodes" / "insight.py"),
}
WATCHED: Final = (
    *("open", "fsync", "fdatasync", "ftruncate", "truncate", "posix_fallocate"),
    *("pread", "preadv", "pwrite", "pwritev", "read", "write", "fchmod", "chmod", "sync"),
    *("unlink", "remove", "rename", "replace", "link", "symlink", "mkdir", "rmdir"),
    *("stat", "lstat", "fstat", "statvfs", "access", "scandir", "listdir", "readlink"),
)

Seen = list[str]
_seen: Seen = []


def install() -> None:
    """Once for all tests of a process."""
    for name in WATCHED:
        setattr(os, name, _guarded(name, getattr(os, name)))
    connect: Any = sqlite3.connect  # takes any mixture of arguments

    def guarded_connect(*args: Any, **options: Any) -> sqlite3.Connection:
        _look("sqlite3.connect")
        made: sqlite3.Connection = connect(*args, **{"factory": _Connection, **options})
        return made

    vars(sqlite3)["connect"] = guarded_connect


@contextmanager
def watching() -> Iterator[Seen]:
    """What is seen meanwhile; the list is filled as it happens."""
    global _seen
    before, _seen = _seen, []
    try:
        yield _seen
    finally:
        _seen = before


class _Connection(sqlite3.Connection):
    """One that looks before it works."""

    def execute(self, *args: Any) -> sqlite3.Cursor:
        _look("sqlite3 execute")
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        _look("sqlite3 executemany")
        return super().executemany(*args)

    def executescript(self, *args: Any) -> sqlite3.Cursor:
        _look("sqlite3 executescript")
        return super().executescript(*args)

    def close(self) -> None:
        _look("sqlite3 close")
        super().close()


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*args: Any, **options: Any) -> Any:
        if asyncio._get_running_loop() is not None:
            _look(f"os.{name}")
        return function(*args, **options)

    return guarded


def _look(what: str) -> None:
    if asyncio._get_running_loop() is None:
        return
    frames = list(_frames_of_ours(sys._getframe(1)))
    files = [frame.f_code.co_filename for frame in frames]
    asked_by = next((name for name in files if not name.startswith(STORE)), "")
    if files[:1] != [asked_by] and asked_by.startswith(PACKAGE) and INLINE.isdisjoint(files):
        _seen.append("\n  ".join([f"{what} on the event loop, from", *map(_place, frames)]))


def _frames_of_ours(frame: FrameType | None) -> Iterator[FrameType]:
    """Of the program and its tests, from the innermost."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(ROOT)) and name != __file__:
            yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{os.path.relpath(code.co_filename, ROOT)}:{frame.f_lineno} {code.co_name}"
