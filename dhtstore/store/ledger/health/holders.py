"""Of each unit kept here: who else holds it, and what is known of their copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from dhtstore.errors import HomeUnusable, NoRoom
from dhtstore.params import AUDIT_SAMPLES_MAX, NONCE_BYTES, REPAIRS_WAITING_MAX
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import Date, Seconds, decode, encode, sound
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"holders/"
UnitId = tuple[bytes, bool]  # its name, and whether it is a spine


class FailedAudit(NamedTuple):
    """By which ``nonce`` and how many blocks were chosen of which a holder did not have all."""

    nonce: Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    samples: Annotated[int, Meta(ge=1, le=AUDIT_SAMPLES_MAX)]


class HolderRow(NamedTuple):
    """One other holder.  ``audited_unix_s`` is when it was last asked and said anything,
    ``proven_unix_s`` when it proved its copy, 0 for never; ``lacks`` is why it failed; ``lost`` is
    whether its copy was replaced by another, ``away`` whether it was silent beyond its grace when
    the unit was judged last; ``stays`` is whether it
    said, when it proved its copy, that it never drops that; ``vain`` is how often it was asked in
    vain since, ``by_block`` whether it had to have a block for a proof since another copy was
    lost, or the whole unit for a receipt; ``settled`` whether, since it is away, others were asked
    for whom they keep the unit; ``sought_s`` for how long others were looked for before it was
    named; ``failed`` is the audit that it failed, if one took blocks."""

    key: bytes
    proven_unix_s: Date = 0.0
    audited_unix_s: Date = 0.0
    lacks: str = ""
    lost: bool = False
    away: bool = False
    stays: bool = False
    vain: int = 0
    by_block: bool = False
    settled: bool = False
    sought_s: Seconds = 0.0
    failed: FailedAudit | None = None


class HoldersRow(NamedTuple):
    """What ``replication.health.copies.Health`` is made of; looked for at ``looked_unix_s``, and
    judged last at ``judged_unix_s``; ``stays`` is what others are told of the copy here, and
    ``freed_unix_s`` since when that it does not, if it did before; ``target`` copies were wanted
    then, 0 where that is not known."""

    looked_unix_s: Date = 0.0
    judged_unix_s: Date = 0.0
    unknown_s: Seconds = 0.0
    short_since_unix_s: Date | None = None
    surplus_since_unix_s: Date | None = None
    holders: tuple[HolderRow, ...] = ()
    stays: bool = False
    freed_unix_s: Date = 0.0
    target: int = 0


class HolderRows:
    """A row for each unit.  A damaged one counts as none, with a trace.  Some that could not be
    written, since the disk is full or can only be read, are remembered, those that wait for copies
    first."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer
        self._unwritten: dict[UnitId, HoldersRow] = {}

    def get(self, unit: UnitId) -> HoldersRow:
        """Raises HomeUnusable."""
        if (unwritten := self._unwritten.get(unit)) is not None:
            return unwritten
        key = _key(unit)
        raw = self._table.get(key)
        row = None if raw is None else sound(_decoded, key, raw, self._tracer)
        return row or HoldersRow()

    def units(self) -> Iterator[UnitId]:
        """Of all rows; raises HomeUnusable."""
        return (_unit_of(key) for key, _ in scan_all(self._table, _PREFIX))

    def all(self) -> Iterator[tuple[UnitId, HoldersRow]]:
        """Those that are not damaged; raises HomeUnusable."""
        for key, raw in scan_all(self._table, _PREFIX):
            row = sound(_decoded, key, raw, self._tracer)
            if row is not None:
                yield _unit_of(key), row

    def save(self, rows: Mapping[UnitId, HoldersRow], gone: Iterable[UnitId] = ()) -> None:
        """Raises NoRoom, HomeUnusable."""
        deletes = list(gone)
        known = {**self._unwritten, **rows}
        for unit in deletes:
            known.pop(unit, None)
        if not (known or deletes):
            return
        try:
            self._write(known, deletes)
        except (NoRoom, HomeUnusable):
            first = sorted(known.items(), key=lambda each: each[1].short_since_unix_s is None)
            self._unwritten = dict(first[:REPAIRS_WAITING_MAX])
            raise
        self._unwritten = {}

    def _write(self, rows: Mapping[UnitId, HoldersRow], gone: Iterable[UnitId]) -> None:
        puts = [(_key(unit), encode(row)) for unit, row in rows.items()]
        self._table.write(puts, [_key(unit) for unit in gone])


def _key(unit: UnitId) -> bytes:
    name, spine = unit
    return _PREFIX + bytes((spine,)) + name


def _unit_of(key: bytes) -> UnitId:
    place = len(_PREFIX)
    return key[place + 1 :], bool(key[place])


def _decoded(raw: bytes) -> HoldersRow:
    return decode(HoldersRow, raw)
