"""Several sources in a directory that nobody made: the one around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The entries by their names."""

    entries: Mapping[str, FileSource | TreeSource]

    def read_at(self, path: tuple[str, ...], offset: int, count: int) -> bytes:
        """What stands in one of the files now.  Raises UnreadableSource, SourceChanged."""
        return self.entries[path[0]].read_at(path[1:], offset, count)
