"""What SQLite changes, told as it happens, by a shim over its own virtual file system.

SQLite writes from C, so no function of Python's sees it.  Its files are opened as ever; then their
methods (sqlite.org/c3ref/io_methods.html) are exchanged for a copy in which writing, cutting and
syncing pass by here.  Locks, reads and shared memory stay with SQLite.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Final

from simulations.errors import SimulationError
from simulations.world.files.changes import ChangeKind
from simulations.world.files.folders import WatchedFile, WatchedFolders

_OK: Final = sqlite3.SQLITE_OK
_REFUSED: Final = sqlite3.SQLITE_IOERR
_FULL: Final = sqlite3.SQLITE_FULL
_PRIMARY: Final = 0xFF  # part of a result; the rest tells of its kind
# sqlite.org/c3ref/c_open_autoproxy.html; the unix VFS syncs the directory of these at their first
# sync, if it made them.
_OPEN_CREATE: Final = 0x00000004
_OPEN_JOURNAL: Final = 0x00000800
_OPEN_SUPER_JOURNAL: Final = 0x00004000
_OPEN_WAL: Final = 0x00080000
_NAME_SYNCED: Final = _OPEN_JOURNAL | _OPEN_SUPER_JOURNAL | _OPEN_WAL

# Names are passed on as they come, by address: SQLite reads parameters that stand behind them.
_CLOSE: Final = CFUNCTYPE(c_int, c_void_p)
_WRITE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE: Final = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


class _Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", c_int),
        ("close", _CLOSE),
        ("read", c_void_p),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", c_void_p * 13),
    )


class _File(Structure):
    """sqlite3_file."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("path_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("others", c_void_p * 14),
    )


@dataclass(slots=True)
class _SqliteFile:
    """``given`` are the methods that SQLite gave it; ``name_due`` until its first sync, which is
    one of its directory, too."""

    file: WatchedFile
    given: _Methods
    name_due: bool


class SqliteShim:
    """Tells ``folders``, while there are any, what happens to SQLite's files in them."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._library, self._given = library, library.sqlite3_vfs_find(None)
        self.folders: WatchedFolders | None = None
        self._vfs, self._name = _Vfs(), b"dhtstore-watched"
        ctypes.pointer(self._vfs)[0] = self._given.contents
        self._vfs.name = self._name
        self._vfs.open, self._vfs.delete = _OPEN(self._open), _DELETE(self._delete)
        self._files: dict[int, _SqliteFile] = {}
        self._ours: dict[int, _Methods] = {}  # by the address of those that they stand for
        self._calls = (
            _CLOSE(self._close),
            _WRITE(self._write),
            _TRUNCATE(self._truncate),
            _SYNC(self._sync),
        )

    @contextmanager
    def default(self, folders: WatchedFolders) -> Iterator[None]:
        """Whatever opens a database uses it, within the block; what was opened does so longer."""
        self.folders = folders
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        try:
            yield
        finally:
            self._library.sqlite3_vfs_register(self._given, 1)

    # --- called by SQLite: nothing may be raised ----------------------------------------------

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out_flags: int) -> int:
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        folder = self.folders.of(path) if self.folders is not None and path else None
        is_new = folder is not None and not os.path.lexists(path)
        try:
            if folder is not None and is_new and flags & _OPEN_CREATE:
                folder.check()
            done = self._told(self._given.contents.open(vfs, name, file, flags, out_flags))
            if done == _OK and folder is not None:
                watched = folder.file(path, is_new=is_new)
                self._watch(file, watched, name_due=is_new and bool(flags & _NAME_SYNCED))
        except OSError:
            return _REFUSED
        return done

    def _told(self, done: int) -> int:
        """What it returned; told of if the disk is full."""
        if done & _PRIMARY == _FULL and self.folders is not None:
            self.folders.out_of_room()
        return done

    def _watch(self, address: int, watched: WatchedFile, *, name_due: bool) -> None:
        file = ctypes.cast(address, POINTER(_File)).contents
        given = file.methods.contents
        at = ctypes.addressof(given)
        if at not in self._ours:
            ours = _Methods()
            ctypes.pointer(ours)[0] = given
            ours.close, ours.write, ours.truncate, ours.sync = self._calls
            self._ours[at] = ours
        self._files[address] = _SqliteFile(watched, given, name_due)
        file.methods = ctypes.pointer(self._ours[at])

    def _close(self, address: int) -> int:
        done: int = self._files.pop(address).given.close(address)
        return done

    def _write(self, address: int, data: int, size: int, at: int) -> int:
        one = self._files[address]
        try:
            one.file.folder.check()
            done = self._told(one.given.write(address, data, size, at))
            if done == _OK:
                one.file.did(ChangeKind.WRITTEN, at, ctypes.string_at(data, size))
        except OSError:
            return _REFUSED
        return done

    def _truncate(self, address: int, end: int) -> int:
        one = self._files[address]
        try:
            one.file.folder.check()
            done = self._told(one.given.truncate(address, end))
            if done == _OK:
                one.file.did(ChangeKind.CUT, end)
        except OSError:
            return _REFUSED
        return done

    def _sync(self, address: int, flags: int) -> int:
        one = self._files[address]
        try:
            one.file.folder.check()
            done = self._told(one.given.sync(address, flags))
            if done == _OK:
                one.file.did(ChangeKind.SYNCED)
                if one.name_due:
                    one.name_due = False
                    one.file.folder.synced_names(os.path.dirname(one.file.path))
        except OSError:
            return _REFUSED
        return done

    def _delete(self, vfs: int, name: int, sync_names: int) -> int:
        path = os.fsdecode(ctypes.string_at(name))
        folder = self.folders.of(path) if self.folders is not None else None
        try:
            if folder is not None:
                folder.check()
            done: int = self._given.contents.delete(vfs, name, sync_names)
            if done == _OK and folder is not None:
                folder.unlinked(path)
                if sync_names:
                    folder.synced_names(os.path.dirname(path))
        except OSError:
            return _REFUSED
        return done


@cache
def sqlite_shim() -> SqliteShim:
    """The only one of the process, for SQLite keeps its address.  Raises SimulationError where
    Python's SQLite cannot be reached."""
    import _sqlite3

    try:
        return SqliteShim(ctypes.CDLL(getattr(_sqlite3, "__file__", None)))
    except (OSError, AttributeError) as error:
        raise SimulationError(
            f"this Python hides its SQLite, which real disks need: {error}"
        ) from error
