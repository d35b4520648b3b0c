"""The routing table on disk, so that the next start needs no seed."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.errors import IntegrityFailure
from dhtstore.model.contact import Address, routable
from dhtstore.model.identity import PublicKey
from dhtstore.params import PUBLIC_KEY_BYTES, K
from dhtstore.store.contract import KeyValue
from dhtstore.store.entries import decode, encode
from dhtstore.trace import Tracer, no_trace

_KEY = b"peers"
_PEERS_MAX = 160 * K  # a full routing table: k contacts in each of 160 buckets


class Peers:
    """A hint only: what was written by another version or damaged is dropped with a trace."""

    def __init__(self, table: KeyValue, trace: Tracer = no_trace) -> None:
        self._table = table
        self._trace = trace

    def save(self, peers: Sequence[tuple[PublicKey, Address]]) -> None:
        rows = [(key, host, port) for key, (host, port) in peers[:_PEERS_MAX]]
        self._table.write([(_KEY, encode(rows))])

    def load(self) -> list[tuple[PublicKey, Address]]:
        raw = self._table.get(_KEY)
        if raw is None:
            return []
        try:
            rows = decode(list[tuple[bytes, str, int]], raw)
        except IntegrityFailure as error:
            self._trace("peers.damaged", reason=str(error))
            return []
        peers = [(PublicKey(key), Address(host, port)) for key, host, port in rows]
        valid = [peer for peer in peers if _valid(*peer)][:_PEERS_MAX]
        if len(valid) != len(peers):
            self._trace("peers.invalid", dropped=len(peers) - len(valid))
        return valid


def _valid(key: PublicKey, address: Address) -> bool:
    return len(key) == PUBLIC_KEY_BYTES and routable(address)
