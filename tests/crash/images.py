"""What a disk may hold after a power cut at some point of recorded I/O.

What was synced is there.  What was not is there, or is not, or of a write only some sectors: each
file, and the directory, has its own luck.  Names count by themselves: one whose directory was
not synced may be lost, and a removed one may be back; of one name the changes come in order.
Sectors are written whole or not at all, as disks promise and SQLite relies on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.crash.recording import Entry, Kind

SECTOR_BYTES: Final = 512


@dataclass(slots=True)
class _File:
    """``synced`` is what is surely there; ``since`` what was done after that."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Entry] = field(default_factory=list)

    def sync(self) -> None:
        for entry in self.since:
            _apply(self.synced, entry)
        self.since.clear()


class Disk:
    """A directory as it changes; ``do`` each entry, and take an image anywhere in between."""

    def __init__(self, directory: Path) -> None:
        """What is in ``directory`` before the program changes it is surely there."""
        self._files: dict[int, _File] = {}  # by a number of our own: inodes are used again
        self._by_inode: dict[int, int] = {}
        self._synced: dict[str, int] = {}  # names that are surely there
        self._since: list[dict[str, int | None]] = []  # changes of names since: None for removed
        self._made = 0
        for path in directory.rglob("*"):
            if path.is_file():
                number = self._make(path.stat().st_ino, bytearray(path.read_bytes()))
                self._synced[str(path.relative_to(directory))] = number
        self._names = dict(self._synced)  # as the program sees them

    def do(self, entry: Entry) -> None:
        if entry.kind in (Kind.WRITTEN, Kind.CUT):
            self._files[self._by_inode[entry.inode]].since.append(entry)
        elif entry.kind == Kind.SYNCED:
            self._files[self._by_inode[entry.inode]].sync()
        elif entry.kind == Kind.SYNCED_NAMES:
            for change in self._since:
                _rename(self._synced, change)
            self._since.clear()
            self._forget_unnamed()
        elif entry.kind != Kind.MARK:
            change = self._change(entry)
            self._since.append(change)
            _rename(self._names, change)

    def _change(self, entry: Entry) -> dict[str, int | None]:
        if entry.kind == Kind.UNLINKED:
            return {entry.text: None}
        if entry.kind == Kind.RENAMED:
            before, after = entry.text.split("\n")
            return {before: None, after: self._names[before]}
        return {entry.text: self._make(entry.inode, bytearray())}

    def _make(self, inode: int, synced: bytearray) -> int:
        self._made += 1
        self._files[self._made] = _File(synced)
        self._by_inode[inode] = self._made
        return self._made

    def _forget_unnamed(self) -> None:
        named = {*self._synced.values(), *self._names.values(), *self._by_inode.values()}
        for number in self._files.keys() - named:
            del self._files[number]

    def image(self, rng: random.Random) -> dict[str, bytes]:
        """Names and what is in them, one of the many that there may be."""
        kinds = [_ALL, _NONE, _FIRST, _SOME, _TORN]
        same = rng.choice([*kinds, None, None])  # often each file has its own luck
        names = dict(self._synced)
        for change in _lucky_names(self._since, rng):
            _rename(names, change)
        return {
            name: self._bytes(self._files[number], same or rng.choice(kinds), rng)
            for name, number in sorted(names.items())
        }

    @staticmethod
    def _bytes(file: _File, luck: str, rng: random.Random) -> bytes:
        held = bytearray(file.synced)
        count = len(file.since)
        kept = range(count) if luck != _FIRST else range(rng.randint(0, count))
        for number in kept:
            if luck in (_ALL, _FIRST) or (luck in (_SOME, _TORN) and rng.random() < 0.5):
                _apply(held, file.since[number])
            elif luck == _TORN:
                for part in _sectors(file.since[number], rng):
                    _apply(held, part)
        return bytes(held)


_ALL, _NONE, _FIRST, _SOME, _TORN = "all", "none", "first", "some", "torn"


def _lucky_names(
    changes: Sequence[dict[str, int | None]], rng: random.Random
) -> Iterator[dict[str, int | None]]:
    """Those that came to the disk: all, the first, or any, but of one name in order."""
    luck = rng.choice((_ALL, _NONE, _FIRST, _SOME, _SOME))
    first = rng.randint(0, len(changes)) if luck == _FIRST else len(changes)
    lost: set[str] = set()
    for change in changes[:first]:
        unlucky = luck == _NONE or (luck == _SOME and rng.random() < 0.5)
        if unlucky or lost & change.keys():
            lost |= change.keys()
        else:
            yield change


def _rename(names: dict[str, int], change: dict[str, int | None]) -> None:
    for name, number in change.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _apply(held: bytearray, entry: Entry) -> None:
    end = entry.at + len(entry.data)
    if entry.kind == Kind.CUT:
        del held[entry.at :]
    if len(held) < end:
        held += bytes(end - len(held))
    held[entry.at : end] = entry.data


def _sectors(entry: Entry, rng: random.Random) -> Iterator[Entry]:
    """About half of the sectors of a write."""
    at, end = entry.at, entry.at + len(entry.data)
    while at < end:
        until = min(end, at - at % SECTOR_BYTES + SECTOR_BYTES)
        if rng.random() < 0.5:
            data = entry.data[at - entry.at : until - entry.at]
            yield Entry(Kind.WRITTEN, entry.inode, at, "", data)
        at = until


def write_image(image: dict[str, bytes], directory: Path) -> None:
    for name, data in image.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(data)
