"""What a disk may hold after a power cut.

What was synced is there.  What was not is there, or is lost, or of a write only some sectors came:
each file, and each directory, has its own luck.  Names count by themselves: one whose directory was
not synced may be lost, and a removed one may be back; of one name the changes come in order.
Sectors are written whole or not at all, as disks promise and SQLite relies on.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulations.world.files.changes import ChangeKind, FileChange

SECTOR_BYTES: Final = 512
_Names = dict[str, int | None]  # None for a name that was removed


@dataclass(frozen=True, slots=True)
class Luck:
    """``lost`` is the share of what was not synced that a power cut takes, and ``torn`` the share
    of lost writes of which about half of the sectors came nevertheless."""

    lost: float
    torn: float


@dataclass(slots=True)
class _CachedFile:
    """``synced`` is what is surely there; ``since`` what was done after that."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[FileChange] = field(default_factory=list)

    @property
    def length(self) -> int:
        end = len(self.synced)
        for change in self.since:
            cut = change.kind == ChangeKind.CUT
            end = change.at if cut else max(end, change.at + len(change.data))
        return end

    def sync(self) -> None:
        for change in self.since:
            _apply(self.synced, change)
        self.since.clear()


class WriteCache:
    """A directory as it changes; ``do`` each change, and take an image anywhere in between."""

    def __init__(self, directory: Path) -> None:
        """What is in ``directory`` before the program changes it is surely there."""
        self._files: dict[int, _CachedFile] = {}  # by a number of our own: inodes are used again
        self._by_inode: dict[int, int] = {}
        self._synced: dict[str, int] = {}  # names that are surely there
        self._since: list[_Names] = []  # changes of names since
        self._made = 0
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                number = self._make(path.stat().st_ino, bytearray(path.read_bytes()))
                self._synced[str(path.relative_to(directory))] = number
        self._names = dict(self._synced)  # as the program sees them

    @property
    def used_bytes(self) -> int:
        """By what has a name."""
        return sum(self._files[number].length for number in self._names.values())

    def do(self, change: FileChange) -> None:
        if change.kind in (ChangeKind.WRITTEN, ChangeKind.CUT):
            file = self._files.get(self._by_inode[change.inode])
            if file is not None:  # else it has no name, and never will again
                file.since.append(change)
        elif change.kind == ChangeKind.SYNCED:
            file = self._files.get(self._by_inode[change.inode])
            if file is not None:
                file.sync()
        elif change.kind == ChangeKind.SYNCED_NAMES:
            self._sync_names(change.text)
        elif change.kind != ChangeKind.MARK:
            names = self._change(change)
            self._since.append(names)
            _rename(self._names, names)

    def _sync_names(self, directory: str) -> None:
        """Of that directory: what is in others is not written with it."""
        later = []
        for names in self._since:
            if all(os.path.dirname(name) == directory for name in names):
                _rename(self._synced, names)
            else:
                later.append(names)
        self._since = later
        self._forget_unnamed()

    def _change(self, change: FileChange) -> _Names:
        if change.kind == ChangeKind.UNLINKED:
            return {change.text: None}
        if change.kind == ChangeKind.RENAMED:
            before, after = change.text.split("\n")
            return {before: None, after: self._names[before]}
        return {change.text: self._make(change.inode, bytearray())}

    def _make(self, inode: int, synced: bytearray) -> int:
        self._made += 1
        self._files[self._made] = _CachedFile(synced)
        self._by_inode[inode] = self._made
        return self._made

    def _forget_unnamed(self) -> None:
        named = {*self._synced.values(), *self._names.values()}
        named.update(number for names in self._since for number in names.values() if number)
        for number in [number for number in self._files if number not in named]:
            del self._files[number]

    def now(self) -> dict[str, bytes]:
        """Names and what is in them, as a program that goes on sees them."""
        return self._image(self._names, {})

    def image(self, rng: random.Random, luck: Luck) -> dict[str, bytes]:
        """One of the many that a power cut may leave."""
        names = dict(self._synced)
        for change in _lucky(self._since, rng, luck):
            _rename(names, change)
        kept = {
            number: list(_lucky_writes(self._files[number].since, rng, luck))
            for number in sorted(set(names.values()))
        }
        return self._image(names, kept)

    def _image(self, names: dict[str, int], kept: dict[int, list[FileChange]]) -> dict[str, bytes]:
        """``kept`` of what was not synced; everything where it does not tell."""
        found = {}
        for name, number in sorted(names.items()):
            held = bytearray(self._files[number].synced)
            for change in kept.get(number, self._files[number].since):
                _apply(held, change)
            found[name] = bytes(held)
        return found


def _losses(count: int, rng: random.Random, luck: Luck) -> list[bool]:
    """Which of so many changes are lost.  Write caches lose one by one, or all behind some moment,
    or everything of a file; each loses that share in the mean."""
    lost = [rng.random() < luck.lost for _ in range(count)]
    order = rng.choice((_ONE_BY_ONE, _LAST, _ALIKE))
    if order == _LAST:
        lost.sort()
    elif order == _ALIKE and lost:
        lost = lost[:1] * count
    return lost


_ONE_BY_ONE, _LAST, _ALIKE = range(3)


def _lucky(changes: Sequence[_Names], rng: random.Random, luck: Luck) -> Iterator[_Names]:
    """Those that came to the disk, of one name in order."""
    missing: set[str] = set()
    for names, lost in zip(changes, _losses(len(changes), rng, luck), strict=True):
        if lost or missing & names.keys():
            missing |= names.keys()
        else:
            yield names


def _lucky_writes(
    changes: Sequence[FileChange], rng: random.Random, luck: Luck
) -> Iterator[FileChange]:
    for change, lost in zip(changes, _losses(len(changes), rng, luck), strict=True):
        if not lost:
            yield change
        elif change.data and rng.random() < luck.torn:
            yield from _sectors(change, rng)


def _rename(names: dict[str, int], changes: _Names) -> None:
    for name, number in changes.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _apply(held: bytearray, change: FileChange) -> None:
    end = change.at + len(change.data)
    if change.kind == ChangeKind.CUT:
        del held[change.at :]
    if len(held) < end:
        held += bytes(end - len(held))
    held[change.at : end] = change.data


def _sectors(change: FileChange, rng: random.Random) -> Iterator[FileChange]:
    """About half of the sectors of a write."""
    at, end = change.at, change.at + len(change.data)
    while at < end:
        until = min(end, at - at % SECTOR_BYTES + SECTOR_BYTES)
        if rng.random() < 0.5:
            data = change.data[at - change.at : until - change.at]
            yield FileChange(ChangeKind.WRITTEN, change.inode, at, data=data)
        at = until


def write_image(image: dict[str, bytes], directory: Path) -> None:
    for name, data in image.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(data)
