"""How large a source is before anything of it is read: for refusals, and for progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from dhtstore.content.builders.importer import Profile
from dhtstore.errors import SourceChanged
from dhtstore.node.context import Disk, surely
from dhtstore.params import STORED_BLOCK_BYTES
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from dhtstore.store.files.sources.wrapped import Wrapped

SAMPLES = 16  # places that are looked at to tell new content from what is here already

Place = tuple[tuple[str, ...], int]  # path within a tree, offset


@dataclass(slots=True)
class SourceSize:
    """``leaves`` is how many blocks hold the content at most; ``sample`` some of the places where
    those begin: where content says where they end, the first of a file."""

    profile: Profile
    size_bytes: int = 0
    leaves: int = 0
    sample: list[Place] = field(default_factory=list)
    _every: int = 1
    _files: int = 0

    @property
    def needed_bytes(self) -> int:
        """What its leaves take, stored, if none is here and no two are the same."""
        return self.size_bytes + self.leaves * STORED_BLOCK_BYTES

    def add(self, path: tuple[str, ...], size_bytes: int) -> None:
        """One file more; the sample stays small and spread over all of them."""
        self.size_bytes += size_bytes
        self.leaves += max(1, -(-size_bytes // self.profile.one_leaf_bytes))
        if size_bytes and self._files % self._every == 0:
            self.sample.append((path, self._begins(size_bytes // 2)))
            if len(self.sample) >= 2 * SAMPLES:
                self.sample, self._every = self.sample[::2], 2 * self._every
        self._files += 1

    def _begins(self, offset: int) -> int:
        chunk = self.profile.chunk_size_bytes
        return 0 if self.profile.by_content else offset // chunk * chunk

    def spread(self, size_bytes: int) -> None:
        """Of the one file that there is, sample what stands all over it."""
        last = size_bytes - 1
        places = {self._begins(last * n // (SAMPLES - 1)) for n in range(SAMPLES)}
        self.sample = [((), place) for place in sorted(places)]


async def measure(disk: Disk, source: object, profile: Profile) -> SourceSize | None:
    """None where only reading tells, and where a tree changes under our hands: the import will say
    so.  Raises UnreadableSource."""
    if isinstance(source, FileSource):
        return _of_file(source.size_bytes, profile) if source.size_bytes else None
    measured = SourceSize(profile)
    try:
        if isinstance(source, Wrapped):
            for name, each in source.entries.items():
                await _add(disk, measured, each, (name,))
        elif isinstance(source, TreeSource):
            await _add(disk, measured, source, ())
        else:
            return None
    except SourceChanged:
        return None
    return measured


async def _add(
    disk: Disk, measured: SourceSize, source: FileSource | TreeSource, above: tuple[str, ...]
) -> None:
    if isinstance(source, FileSource):
        measured.add(above, source.size_bytes)
        return
    portions = source.portions()
    try:
        while (entries := await disk.blocking.run(next, portions, None)) is not None:
            for entry in entries:
                if entry.kind == "file":
                    measured.add((*above, *entry.path), entry.size_bytes)
    finally:
        await surely(disk.blocking, portions.close)


def _of_file(size_bytes: int, profile: Profile) -> SourceSize:
    measured = SourceSize(profile)
    measured.add((), size_bytes)
    measured.spread(size_bytes)
    return measured
