"""What is answered to a request: one procedure per kind, named ``rpc_*`` as in rpcudp.

Each takes who asks and the request, and where the answer may be long, how many bytes it may have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.holding.keeping import RecordKeeper, read
from dhtstore.dht.engine.holding.probing import Probing
from dhtstore.dht.engine.holding.reaching import Reaching
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed
from dhtstore.wire import datagram
from dhtstore.wire.datagram import (
    PACKED_HEAD_BYTES,
    UNSUPPORTED,
    Request,
    Response,
    UnknownProcedure,
)

_CONTACTS_BESIDE_PROVIDERS: Final = 8  # room kept in a first page for where to ask next
_PAGE_OVERHEAD_BYTES: Final = 14  # msgpack heads of a Providers answer
_PROVED_BYTES: Final = 3  # of a Provided
_CONTACTS_OVERHEAD_BYTES: Final = 4
_MALFORMED: Final = datagram.Stored(Verdict.MALFORMED.value)


class Procedures:
    """Answers from the routing table and the records kept here; sends nothing itself.  ``told``
    hears of those that an answer names."""

    def __init__(
        self,
        table: Table,
        keeper: RecordKeeper,
        reaching: Reaching,
        probing: Probing,
        told: Callable[[Sequence[Peer]], None],
        unix_s: Callable[[], float],
    ) -> None:
        self._table, self._keeper, self._reaching = table, keeper, reaching
        self._probing = probing
        self._told, self._unix_s = told, unix_s

    def respond(
        self, sender: Peer, request: Request | UnknownProcedure, room_bytes: int, *, proved: bool
    ) -> Response | None:
        """The whitelist: these procedures can be called, no others.  None where the sender must
        prove its address first."""
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
            return self.rpc_add_provider(sender, request, proved=proved)
        if isinstance(request, datagram.AddProviders):
            return self.rpc_add_providers(sender, request, proved=proved)
        if isinstance(request, datagram.FindContact):
            return self.rpc_find_contact(sender, request, room_bytes)
        if isinstance(request, datagram.StoreContact):
            return self.rpc_store_contact(sender, request, proved=proved)
        if isinstance(request, datagram.FindPolicy):
            return self.rpc_find_policy(sender, request, room_bytes)
        if isinstance(request, datagram.StorePolicy):
            return self.rpc_store_policy(sender, request, proved=proved)
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
        packed = _that_fits(record, room_bytes)
        room_bytes -= _size_bytes(packed)
        return datagram.FoundContact(packed, self._closest(sender, request.node, room_bytes))

    def rpc_get_providers(
        self, sender: Peer, request: datagram.GetProviders, room_bytes: int
    ) -> datagram.Providers:
        """Withdrawals come last: who asks must know which of what others tell was taken back."""
        silent = self._keeper.silent(request.key)
        records = self._keeper.providers(request.key) + silent * request.silent
        records += self._keeper.withdrawn(request.key)[: datagram.WITHDRAWALS_TOLD_MAX]
        reserved, parts = 0, b""
        if request.offset == 0:
            reserved = _CONTACTS_BESIDE_PROVIDERS * _contact_size_bytes(sender)
            parts = _parts(silent)
        room_bytes -= _PAGE_OVERHEAD_BYTES + len(parts)
        pairs, used = self._page(records[request.offset :], room_bytes - reserved)
        contacts = self._closest(sender, request.key, room_bytes - used)
        return datagram.Providers(len(records), pairs, contacts, parts)

    def rpc_add_provider(
        self, sender: Peer, request: datagram.AddProvider, *, proved: bool
    ) -> datagram.Stored | None:
        record, contact = read(ProviderRecord, request.record), read(ContactRecord, request.contact)
        if record is None or contact is None or contact.public_key != record.public_key:
            return _MALFORMED
        contended = self._keeper.contended(record)
        if contended and not proved:
            return None
        standing = self._reaching.standing(sender, contact, proved=proved)
        verdict = self._keeper.keep(record, standing)
        if verdict is Verdict.KEPT:
            self._keeper.keep(contact, standing)
            self._probing.told(sender, contact, proved=proved)
        if contended:
            self._reaching.look(record, contact, standing)
        return datagram.Stored(verdict.value)

    def rpc_add_providers(
        self, sender: Peer, request: datagram.AddProviders, *, proved: bool
    ) -> datagram.StoredEach | None:
        """Each as if it had come alone; who is challenged brings all of them again, and those that
        are kept by then cost nothing."""
        verdicts = []
        for record in request.records:
            alone = datagram.AddProvider(record, request.contact)
            answer = self.rpc_add_provider(sender, alone, proved=proved)
            if answer is None:
                return None
            verdicts.append(answer.verdict)
        return datagram.StoredEach(verdicts)

    def rpc_store_contact(
        self, sender: Peer, request: datagram.StoreContact, *, proved: bool
    ) -> datagram.Stored | None:
        contact = read(ContactRecord, request.contact)
        if contact is None:
            return _MALFORMED
        if self._keeper.contended(contact) and not proved:
            return None
        standing = self._reaching.standing(sender, contact, proved=proved)
        return datagram.Stored(self._keeper.keep(contact, standing).value)

    def rpc_find_policy(
        self, sender: Peer, request: datagram.FindPolicy, room_bytes: int
    ) -> datagram.FoundPolicy:
        packed = _that_fits(self._keeper.policy(request.key), room_bytes)
        room_bytes -= _size_bytes(packed)
        return datagram.FoundPolicy(packed, self._closest(sender, request.key, room_bytes))

    def rpc_store_policy(
        self, sender: Peer, request: datagram.StorePolicy, *, proved: bool
    ) -> datagram.Stored | None:
        """Whoever brings it: its owner may be away, and is no node that could be reached."""
        policy = read(Policy, request.policy)
        if policy is None:
            return _MALFORMED
        if self._keeper.contended(policy) and not proved:
            return None
        standing = self._reaching.bringer(sender, proved=proved)
        return datagram.Stored(self._keeper.keep(policy, standing).value)

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
            contact, proved_s = self._keeper.contact_of(record), self._proved_s(record)
            packed = None if contact is None else contact.packed
            pair = datagram.Provided(record.packed, packed, proved_s)
            size = _pair_size_bytes(pair)
            if used + size > room_bytes and not pairs:
                pair = datagram.Provided(record.packed, None, proved_s)
                size = _pair_size_bytes(pair)
            if used + size > room_bytes:
                break
            pairs.append(pair)
            used += size
        return pairs, used

    def _proved_s(self, record: ProviderRecord) -> int | None:
        ago_s = self._keeper.proved_ago_s(record.public_key)
        return None if ago_s is None else min(int(ago_s), datagram.PROVED_MAX_S)

    def _closest(self, sender: Peer, target: bytes, room_bytes: int) -> bytes:
        """The closest contacts that fit, of the asker's family, packed."""
        count = (room_bytes - _CONTACTS_OVERHEAD_BYTES) // _contact_size_bytes(sender)
        if count <= 0:
            return b""
        number = int.from_bytes(target, "big")
        count = min(count, datagram.CONTACTS_PER_ANSWER_MAX)
        closest = self._table.closest(number, count, sender, ipv6=sender.ipv6)
        self._told(closest)
        return b"".join([peer.packed for peer in closest])


def _parts(silent: list[ProviderRecord]) -> bytes:
    """The first bytes of their signers' keys, of as many as are told."""
    some = silent[: datagram.SILENT_TOLD_MAX]
    return b"".join([record.public_key[: datagram.SILENT_BYTES] for record in some])


def _pair_size_bytes(pair: datagram.Provided) -> int:
    return 1 + _size_bytes(pair.record) + _size_bytes(pair.contact) + _PROVED_BYTES


def _that_fits(record: Signed | None, room_bytes: int) -> bytes | None:
    packed = None if record is None else record.packed
    if packed is not None and PACKED_HEAD_BYTES + len(packed) >= room_bytes:
        return None
    return packed


def _size_bytes(packed: bytes | None) -> int:
    """What a signed object takes in an answer, at most."""
    return 1 if packed is None else PACKED_HEAD_BYTES + len(packed)


def _contact_size_bytes(asker: Peer) -> int:
    return datagram.CONTACT_V6_BYTES if asker.ipv6 else datagram.CONTACT_V4_BYTES
