"""Other nodes, as this one remembers them: the routing table, so that the next start needs no seed,
and how they were seen to be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from dhtstore.errors import HomeUnusable, IntegrityFailure, RemoteProtocolError
from dhtstore.model.contact import Contact
from dhtstore.params import NODE_ID_BYTES, PRESENCES_MAX, K
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.datagram import unpack_contact

T = TypeVar("T")
_KEY: Final = b"peers"
_SEEN_KEY: Final = b"peers-seen"
_WATCHED_MAX_S: Final = 1e10  # 300 years: what is more was never watched
_PEERS_MAX: Final = 160 * K  # a full routing table: k contacts in each of 160 buckets


class Peers:
    """A hint only: what was written by another version, is damaged or cannot be read is done
    without, with a trace."""

    def __init__(self, table: KeyValue, trace: Tracer = no_trace) -> None:
        self._table = table
        self._trace = trace

    def save(self, packed: Sequence[bytes]) -> None:
        """Contacts as datagrams carry them."""
        self._table.write([(_KEY, encode(packed[:_PEERS_MAX]))])

    def load(self) -> list[Contact]:
        rows = _loaded(self._table, _KEY, list[bytes], self._trace) or []
        contacts = [contact for one in rows[:_PEERS_MAX] if (contact := _contact(one))]
        if len(contacts) != len(rows):
            self._trace("peers.invalid", dropped=len(rows) - len(contacts))
        return contacts


class SeenRow(NamedTuple):
    """``replication.presence.Presence`` of the node with that id."""

    node: bytes
    heard_s: float
    there_s: float
    away_s: float


class SeenRows(NamedTuple):
    """Of all of them, and for how long this node has watched."""

    watched_s: float = 0.0
    rows: Sequence[SeenRow] = ()


class SeenPeers:
    """What this node saw of others; done without as ``Peers``."""

    def __init__(self, table: KeyValue, trace: Tracer = no_trace) -> None:
        self._table, self._trace = table, trace

    def save(self, seen: SeenRows) -> None:
        """Raises NoRoom, HomeUnusable."""
        self._table.write([(_SEEN_KEY, encode(seen))])

    def load(self) -> SeenRows:
        seen = _loaded(self._table, _SEEN_KEY, SeenRows, self._trace)
        if seen is None or not 0 <= seen.watched_s < _WATCHED_MAX_S:
            return SeenRows()
        whole = [row for row in seen.rows[:PRESENCES_MAX] if _possible(row, seen.watched_s)]
        if len(whole) != len(seen.rows):
            self._trace("peers.invalid", dropped=len(seen.rows) - len(whole))
        return SeenRows(seen.watched_s, whole)


def _possible(row: SeenRow, watched_s: float) -> bool:
    times = row[1:]
    return len(row.node) == NODE_ID_BYTES and all(0 <= each <= watched_s for each in times)


def _loaded(table: KeyValue, key: bytes, kind: type[T], trace: Tracer) -> T | None:
    """None where there is nothing, or nothing that can be read, with a trace."""
    try:
        raw = table.get(key)
    except HomeUnusable as error:
        trace("peers.failed", reason=str(error))
        return None
    if raw is None:
        return None
    try:
        return decode(kind, raw)
    except IntegrityFailure as error:
        trace("peers.damaged", reason=str(error))
        return None


def _contact(packed: bytes) -> Contact | None:
    try:
        return unpack_contact(packed)
    except RemoteProtocolError:
        return None
