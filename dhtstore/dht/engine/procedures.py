"""What is answered to a request: one procedure per kind, named ``rpc_*`` as in rpcudp.

Each takes who asks and the request, and where the answer may be long, how many bytes it may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.keeping import RecordKeeper
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import unpack
from dhtstore.wire import datagram
from dhtstore.wire.datagram import (
    PACKED_HEAD_BYTES,
    UNSUPPORTED,
    Request,
    Response,
    UnknownProcedure,
)

_CONTACTS_BESIDE_PROVIDERS: Final = 8  # room kept in a first page for where to ask next
_PAGE_OVERHEAD_BYTES: Final = 12  # msgpack heads of a Providers answer
_CONTACTS_OVERHEAD_BYTES: Final = 4


class Procedures:
    """Answers from the routing table and the records kept here; sends nothing itself."""

    def __init__(self, table: Table, keeper: RecordKeeper, unix_s: Callable[[], float]) -> None:
        self._table, self._keeper, self._unix_s = table, keeper, unix_s

    def respond(
        self, sender: Peer, request: Request | UnknownProcedure, room_bytes: int
    ) -> Response:
        """The whitelist: these procedures can be called, no others."""
        if isinstance(request, datagram.FindNode):
            return self.rpc_find_node(sender, request, room_bytes)
        if isinstance(request, datagram.Ping):
            return self.rpc_ping(sender, request)
        if isinstance(request, UnknownProcedure):
            return UNSUPPORTED
        self._keeper.tick()
        if isinstance(request, datagram.GetProviders):
            return self.rpc_get_providers(sender, request, room_bytes)
        if isinstance(request, datagram.AddProvider):
            return self.rpc_add_provider(sender, request)
        if isinstance(request, datagram.FindContact):
            return self.rpc_find_contact(sender, request, room_bytes)
        if isinstance(request, datagram.StoreContact):
            return self.rpc_store_contact(sender, request)
        assert_never(request)

    def rpc_ping(self, sender: Peer, request: datagram.Ping) -> datagram.Pong:
        return datagram.Pong(datagram.pack_address(sender.address), int(self._unix_s()))

    def rpc_find_node(
        self, sender: Peer, request: datagram.FindNode, room_bytes: int
    ) -> datagram.FoundNodes:
        return datagram.FoundNodes(self._closest(sender, request.target, room_bytes))

    def rpc_find_contact(
        self, sender: Peer, request: datagram.FindContact, room_bytes: int
    ) -> datagram.FoundContact:
        record = self._keeper.contact(NodeId(request.node))
        packed = None if record is None else record.packed
        if packed is not None and PACKED_HEAD_BYTES + len(packed) >= room_bytes:
            packed = None
        room_bytes -= _size_bytes(packed)
        return datagram.FoundContact(packed, self._closest(sender, request.node, room_bytes))

    def rpc_get_providers(
        self, sender: Peer, request: datagram.GetProviders, room_bytes: int
    ) -> datagram.Providers:
        records = self._keeper.providers(request.key)
        reserved = 0
        if request.offset == 0:
            reserved = _CONTACTS_BESIDE_PROVIDERS * _contact_size_bytes(sender)
        room_bytes -= _PAGE_OVERHEAD_BYTES
        pairs, used = self._page(records[request.offset :], room_bytes - reserved)
        contacts = self._closest(sender, request.key, room_bytes - used)
        return datagram.Providers(len(records), pairs, contacts)

    def rpc_add_provider(self, sender: Peer, request: datagram.AddProvider) -> datagram.Stored:
        record = unpack(ProviderRecord, request.record)
        contact = unpack(ContactRecord, request.contact)
        if contact.public_key != record.public_key:
            return datagram.Stored(Verdict.MALFORMED.value)
        verdict = self._keeper.keep(record)
        if verdict is Verdict.KEPT:
            self._keeper.keep(contact)
        return datagram.Stored(verdict.value)

    def rpc_store_contact(self, sender: Peer, request: datagram.StoreContact) -> datagram.Stored:
        return datagram.Stored(self._keeper.keep(unpack(ContactRecord, request.contact)).value)

    def _page(
        self, records: list[ProviderRecord], room_bytes: int
    ) -> tuple[list[datagram.Provided], int]:
        """As many (record, contact) pairs as fit, in order, and their size in bytes.

        If not even one fits, its record alone, so that asking for pages comes to an end: who
        asks can look the contact up.
        """
        pairs: list[datagram.Provided] = []
        used = 0
        for record in records:
            contact = self._keeper.contact_of(record)
            pair = datagram.Provided(record.packed, None if contact is None else contact.packed)
            size = _pair_size_bytes(pair)
            if used + size > room_bytes and not pairs:
                pair = datagram.Provided(record.packed)
                size = _pair_size_bytes(pair)
            if used + size > room_bytes:
                break
            pairs.append(pair)
            used += size
        return pairs, used

    def _closest(self, sender: Peer, target: bytes, room_bytes: int) -> bytes:
        """The closest contacts that fit, of the asker's family, packed."""
        count = (room_bytes - _CONTACTS_OVERHEAD_BYTES) // _contact_size_bytes(sender)
        if count <= 0:
            return b""
        number = int.from_bytes(target, "big")
        count = min(count, datagram.CONTACTS_PER_ANSWER_MAX)
        closest = self._table.closest(number, count, sender.id, ipv6=sender.ipv6)
        return b"".join([peer.packed for peer in closest])


def _pair_size_bytes(pair: datagram.Provided) -> int:
    return 1 + _size_bytes(pair.record) + _size_bytes(pair.contact)


def _size_bytes(packed: bytes | None) -> int:
    """What a signed object takes in an answer, at most."""
    return 1 if packed is None else PACKED_HEAD_BYTES + len(packed)


def _contact_size_bytes(asker: Peer) -> int:
    return datagram.CONTACT_V6_BYTES if asker.ipv6 else datagram.CONTACT_V4_BYTES
