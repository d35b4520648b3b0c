"""The routing table on disk, so that the next start needs no seed."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.errors import HomeUnusable, IntegrityFailure, RemoteProtocolError
from dhtstore.model.contact import Contact
from dhtstore.params import K
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.entries import decode, encode
from dhtstore.trace import Tracer, no_trace
from dhtstore.wire.datagram import unpack_contact

_KEY = b"peers"
_PEERS_MAX = 160 * K  # a full routing table: k contacts in each of 160 buckets


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
        try:
            raw = self._table.get(_KEY)
        except HomeUnusable as error:
            self._trace("peers.failed", reason=str(error))
            return []
        if raw is None:
            return []
        try:
            rows = decode(list[bytes], raw)
        except IntegrityFailure as error:
            self._trace("peers.damaged", reason=str(error))
            return []
        contacts = [contact for one in rows[:_PEERS_MAX] if (contact := _contact(one))]
        if len(contacts) != len(rows):
            self._trace("peers.invalid", dropped=len(rows) - len(contacts))
        return contacts


def _contact(packed: bytes) -> Contact | None:
    try:
        return unpack_contact(packed)
    except RemoteProtocolError:
        return None
