"""How a source is read: what becomes of what cannot be, what is kept beside names and bytes, and
how files are cut."""

from __future__ import annotations

from dataclasses import dataclass, field

from dhtstore.content.builders.importer import UNIXFS_V1_2025, Profile
from dhtstore.content.codec.unixfs import Metadata
from dhtstore.errors import DhtstoreError
from dhtstore.operations.content import SkippedEntry
from dhtstore.params import SKIPPED_NAMED_MAX


@dataclass(slots=True)
class Manner:
    """``strict`` refuses a tree for one entry of it that cannot be stored; else that is skipped,
    counted, and the first ``SKIPPED_NAMED_MAX`` are named, by their paths below ``above``.
    ``preserve`` keeps modes and times; ``profile`` says how files are cut."""

    strict: bool = True
    preserve: bool = False
    profile: Profile = UNIXFS_V1_2025
    skipped: list[SkippedEntry] = field(default_factory=list)
    skipped_count: int = 0
    above: tuple[str, ...] = ()

    def begin(self) -> None:
        """It is read, or read again: nothing is skipped yet."""
        self.skipped.clear()
        self.skipped_count, self.above = 0, ()

    def skip(self, path: tuple[str, ...], error: DhtstoreError) -> None:
        """Raises ``error`` if nothing may be skipped."""
        if self.strict:
            raise error.hinted("leave it out with --exclude, or leave --strict away to skip it")
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_NAMED_MAX:
            why = str(vars(error).get("why") or error)
            self.skipped.append(SkippedEntry("/".join((*self.above, *path)) or ".", why))

    def kept(self, metadata: Metadata | None) -> Metadata | None:
        """What is to be stored of it."""
        return metadata if self.preserve else None
