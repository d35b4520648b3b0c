"""Nodes that hold what is held here, too: when they answered, how long they were silent before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import Date, Seconds, decode, encode, sound
from dhtstore.trace import Tracer, no_trace

_PREFIX: Final = b"fellow/"
_FORGOTTEN: Final = b"fellows/forgotten"


class FellowRow(NamedTuple):
    """``replication.health.past.PeerPast``, and where it was reached last: host and port.  Where
    ``absent_s`` is not ``weighed``, an earlier version wrote it, which counted all in full."""

    known_unix_s: Date
    heard_unix_s: Date
    asked_unix_s: Date
    silent_s: Seconds
    away_s: tuple[Seconds, ...]
    host: str = ""
    port: int = 0
    absent_s: Seconds = 0.0
    unwatched_s: Seconds = 0.0
    weighed: bool = False


class ForgottenRow(NamedTuple):
    """Those that hold nothing of ours any more: for how long they were watched in sum, and how many
    of them were ``gone``."""

    watched_s: Seconds = 0.0
    gone: int = 0


class Fellows:
    """A row for each, by public key.  A damaged one is passed over, with a trace."""

    def __init__(self, table: KeyValue, tracer: Tracer = no_trace) -> None:
        self._table, self._tracer = table, tracer

    def all(self) -> Iterator[tuple[bytes, FellowRow]]:
        """Raises HomeUnusable."""
        for key, raw in scan_all(self._table, _PREFIX):
            row = sound(_decoded, key, raw, self._tracer)
            if row is not None:
                yield key.removeprefix(_PREFIX), row

    def forgotten(self) -> ForgottenRow:
        """Raises HomeUnusable."""
        raw = self._table.get(_FORGOTTEN)
        row = None if raw is None else sound(_forgotten, _FORGOTTEN, raw, self._tracer)
        return row or ForgottenRow()

    def save(
        self,
        rows: Mapping[bytes, FellowRow],
        gone: Iterable[bytes] = (),
        forgotten: ForgottenRow | None = None,
    ) -> None:
        """Raises NoRoom, HomeUnusable."""
        puts = [(_PREFIX + key, encode(row)) for key, row in rows.items()]
        if forgotten is not None:
            puts.append((_FORGOTTEN, encode(forgotten)))
        deletes = [_PREFIX + key for key in gone]
        if puts or deletes:
            self._table.write(puts, deletes)


def _decoded(raw: bytes) -> FellowRow:
    return decode(FellowRow, raw)


def _forgotten(raw: bytes) -> ForgottenRow:
    return decode(ForgottenRow, raw)
