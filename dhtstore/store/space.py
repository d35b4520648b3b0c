"""How much room a store has, as of now: one value for refusals, warnings and ``status``."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.config import format_size


@dataclass(frozen=True, slots=True)
class Space:
    """``used_bytes`` of ``capacity_bytes`` (None: no limit but the disk's), what is set aside
    included, which ``reserved_bytes`` is.  ``disk_free_bytes`` is what the file system has left,
    None where there is none; ``beside_bytes`` of that were promised by other nodes on it and are
    not used yet.  ``closed`` is why nothing can be written, "" while something can.
    ``disk_reserve_bytes`` of what is free are left alone.  ``packs_bytes`` and ``index_bytes`` are
    the lengths of the files (the mark of the directory with the index); what else is used is set
    aside, of which ``reserved_bytes`` are for what was announced, and the rest for the index.
    ``reservable_bytes`` is what of the capacity can be reserved, where that is less than what is
    not used."""

    capacity_bytes: int | None
    used_bytes: int
    reserved_bytes: int = 0
    disk_free_bytes: int | None = None
    beside_bytes: int = 0
    closed: str = ""
    disk_reserve_bytes: int = 0
    packs_bytes: int = 0
    index_bytes: int = 0
    reservable_bytes: int | None = None

    @property
    def free_bytes(self) -> int | None:
        """What could be written now; None for no limit."""
        if self.closed:
            return 0
        limits: list[int] = []
        if self.capacity_bytes is not None:
            left_bytes = self.capacity_bytes - self.used_bytes
            limits.append(left_bytes if self.reservable_bytes is None else self.reservable_bytes)
        if self.disk_free_bytes is not None:
            limits.append(self.disk_free_bytes - self.disk_reserve_bytes - self.reserved_bytes)
        return max(0, min(limits)) if limits else None

    @property
    def aside_bytes(self) -> int:
        """Used by no file yet, and reserved for nobody: what the index may need."""
        return max(0, self.used_bytes - self.packs_bytes - self.index_bytes - self.reserved_bytes)

    @property
    def unbacked_bytes(self) -> int:
        """How much of the capacity the disk could not hold, if all nodes on it filled up."""
        if self.capacity_bytes is None or self.disk_free_bytes is None:
            return 0
        unused_bytes = self.capacity_bytes - self.used_bytes + self.reserved_bytes
        return max(
            0,
            unused_bytes
            - max(0, self.disk_free_bytes - self.disk_reserve_bytes - self.beside_bytes),
        )

    @property
    def overpromised(self) -> str:
        """Why the disk may not hold what was promised of it; "" if it can."""
        if self.capacity_bytes is None or not self.unbacked_bytes:
            return ""
        gives, short = format_size(self.capacity_bytes), format_size(self.unbacked_bytes)
        free, beside = format_size(self.disk_free_bytes or 0), ""
        if self.beside_bytes:
            told = format_size(self.beside_bytes)
            beside = f", of which other nodes here have promised {told} and not used it yet"
        return (
            f"{gives} are promised, {short} more than the disk can hold: {free} are free{beside};"
            " give less (`dhtstore config capacity SIZE`) or make room"
        )
