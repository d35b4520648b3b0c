"""The directories of an archive when all of it was read: built bottom up, in portions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, cast

from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import UnreadableSource
from dhtstore.node.importing.batch import ImportBatch, Imported
from dhtstore.node.importing.tree import OpenDirectory, built
from dhtstore.params import LISTED_AT_ONCE, PATTERN_STEPS_AT_ONCE
from dhtstore.store.files.sources.effort import Effort
from dhtstore.store.files.sources.excluding import IGNORE_FILE, Exclusion

STEP_PAUSES: Final = 256  # directories, or parts of large ones: a hop costs as much as a small one

Path = tuple[str, ...]


@dataclass(slots=True)
class Folder:
    """A directory as an archive has told of it; ``patterns`` is what its file of them says."""

    metadata: Metadata | None = None
    entries: dict[str, Imported | Folder] = field(default_factory=dict)
    patterns: bytes = b""


@dataclass(frozen=True, slots=True)
class Building:
    """From folders to directories in the store.  ``name`` is that of the archive."""

    _batch: ImportBatch
    _name: str

    async def run(self, root: Folder, exclusion: Exclusion) -> Imported:
        """Takes ``root`` apart.  Raises UnreadableSource, UsageError for patterns, NoRoom."""
        steps, run = self._built((), root, exclusion), self._batch.disk.blocking.run
        while (made := await run(_advance, steps, exclusion.effort)) is None:
            pass
        return made

    def _built(
        self, path: Path, folder: Folder, exclusion: Exclusion
    ) -> Generator[None, None, Imported]:
        """Pauses between directories, and in one with many entries or much to match."""
        if folder.patterns:
            label = "/".join((self._name, *path, IGNORE_FILE))
            exclusion = exclusion.below(path, folder.patterns, label)
        done, due = OpenDirectory(path, folder.metadata), 0
        for number, name in enumerate(list(folder.entries), 1):
            child, below = folder.entries.pop(name), (*path, name)
            if not exclusion.excludes(below, isinstance(child, Folder)):
                made: Imported | None
                if isinstance(child, Imported):
                    made = child
                else:
                    made = yield from self._built_below(below, child, exclusion)
                if made is not None:
                    done.add(name, made)
            if exclusion.effort.spent >= due or number % LISTED_AT_ONCE == 0:
                due = exclusion.effort.spent + PATTERN_STEPS_AT_ONCE
                yield
        return built(self._batch, done, self._name)

    def _built_below(
        self, path: Path, folder: Folder, exclusion: Exclusion
    ) -> Generator[None, None, Imported | None]:
        """None for what is too large to lie so deep."""
        try:
            return (yield from self._built(path, folder, exclusion))
        except UnreadableSource as error:
            self._batch.manner.skip(path, error)
            return None


def _advance(building: Generator[None, None, Imported], effort: Effort) -> Imported | None:
    """In a worker: some of the directories; the root when all are built."""
    due = effort.spent + PATTERN_STEPS_AT_ONCE
    for _ in range(STEP_PAUSES):
        try:
            next(building)
        except StopIteration as end:
            return cast(Imported, end.value)
        if effort.spent >= due:
            break
    return None
