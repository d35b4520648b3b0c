"""Requests and answers between nodes: kademlia's protocol over authenticated datagrams.

What a datagram proves decides what it may change.  A request earns an answer, at most three
times its size until its address is proved, and a rationed ping.  Only an answer to our own random
id, from the key and the address we asked, touches the routing table.  Dispatch is synchronous:
no task and one timer per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kademlia.node import Node
from kademlia.protocol import KademliaProtocol

from dhtstore.dht.core.limits import TokenBucket
from dhtstore.dht.core.peer import Peer, peer_at, unpack_peer
from dhtstore.dht.core.records import ContactStore, RecordStore, Verdict
from dhtstore.dht.core.rtt import RttEstimate, last_wait_s, retransmission_timeout_s
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.sessions import Check, Sessions
from dhtstore.errors import ConnectionLost, InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import check
from dhtstore.params import (
    AMPLIFICATION_MAX,
    DATAGRAM_MAX_BYTES,
    FIRST_REQUEST_PADDED_BYTES,
    RPC_IN_FLIGHT_MAX,
    VERIFY_PINGS_PER_S,
    K,
)
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import Request, Response

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto, Endpoint, Entropy
    from dhtstore.trace import Tracer

OnDone = Callable[[Peer, Response | None], None]
_PING_BYTES: Final = envelope.OVERHEAD_BYTES + datagram.FRAME_OVERHEAD_BYTES + 8
_CONTACTS_BESIDE_PROVIDERS: Final = 8  # room kept in a first page for where to ask next
_PAGE_OVERHEAD_BYTES: Final = 12  # msgpack heads of a Providers answer
_CONTACTS_OVERHEAD_BYTES: Final = 4
_ANSWER_OVERHEAD_BYTES: Final = envelope.OVERHEAD_BYTES + datagram.FRAME_OVERHEAD_BYTES
ATTEMPTS: Final = 2  # the request and one retransmission
_BIG_ANSWER: Final = (datagram.FindNode, datagram.GetProviders, datagram.FindContact)


class Call:
    """One request that awaits its answer."""

    __slots__ = (
        "attempts", "cookie", "frame", "keys", "on_done", "peer", "request", "sends",
        "sent_s", "size_bytes", "timeout_s", "timer",
    )  # fmt: skip

    def __init__(self, peer: Peer, request: Request, on_done: OnDone, attempts: int) -> None:
        self.peer, self.request, self.on_done, self.attempts = peer, request, on_done, attempts
        self.keys = self.cookie = self.frame = b""
        self.sends = self.size_bytes = 0
        self.sent_s = self.timeout_s = 0.0
        self.timer: asyncio.TimerHandle | None = None

    @property
    def message_id(self) -> bytes:
        return self.frame[1 : datagram.FRAME_OVERHEAD_BYTES]


class NodeRpc(KademliaProtocol):
    """Keeps the library's shape: ``rpc_*`` answers a request, ``call_*`` makes one."""

    router: Table
    storage: RecordStore

    def __init__(
        self,
        *,
        network: Network,
        crypto: Crypto,
        clock: Clock,
        entropy: Entropy,
        endpoint: Endpoint,
        tracer: Tracer,
        storage_node: bool,
        ephemeral: bool,
    ) -> None:
        own = crypto.node.public_key
        super().__init__(Node(node_id(own)), RecordStore(), K)
        self.router = Table(self.source_node, K)
        self.contacts = ContactStore()
        self.counters: dict[str, int] = {}
        self.rtt = RttEstimate()
        self.observed = b""  # where the peer that last answered a ping sees us, packed
        self._network = network
        self._crypto, self._clock, self._entropy = crypto, clock, entropy
        self._endpoint, self._tracer = endpoint, tracer
        flags = envelope.STORAGE * storage_node | envelope.EPHEMERAL * ephemeral
        self._headers = {
            extra: envelope.header_of(self._network, flags | extra, own)
            for extra in (0, envelope.COOKIE, envelope.PROVED)
        }
        self._own = own
        self._sessions = Sessions(self._network, crypto, own, entropy.random_bytes(32))
        self._outstanding: dict[bytes, Call] = {}
        self._probing: set[bytes] = set()
        self._probes = TokenBucket(VERIFY_PINGS_PER_S, 4 * VERIFY_PINGS_PER_S)
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        """The library would make a remote call of every unknown name."""
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    def tick(self) -> float:
        """Tell the record stores the time, and return it (monotonic seconds)."""
        now, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        self.storage.tick(now, unix_s)
        self.contacts.tick(now, unix_s)
        return now

    # --- datagrams in ----------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Never raises: one peer's bytes cost only their own answer."""
        try:
            self._receive(data, addr)
        except RemoteProtocolError as error:
            self.count("malformed")
            self._tracer("dht.malformed", source=str(addr), error=str(error))
        except Exception as error:
            self.count("defects")
            self._tracer("dht.defect", source=str(addr), error=repr(error))

    def _receive(self, data: bytes, addr: Address) -> None:
        if not envelope.ours(self._network, data):
            self.count("other_network")
            return
        challenge = envelope.parse_challenge(data)
        if challenge is not None:
            self._accept_challenge(challenge, addr)
            return
        opened = envelope.parse(data)
        if opened is None or len(opened.frame) <= datagram.FRAME_OVERHEAD_BYTES:
            raise RemoteProtocolError("a datagram whose outside is malformed")
        message_id = opened.frame[1 : datagram.FRAME_OVERHEAD_BYTES]
        if opened.frame[0] == datagram.REQUEST:
            self._accept_datagram_request(message_id, opened, data, addr)
        elif opened.frame[0] == datagram.RESPONSE:
            self._accept_answer(message_id, opened, data, addr)
        else:
            raise RemoteProtocolError("a frame that is neither request nor answer")

    def _accept_challenge(self, challenge: envelope.Challenge, addr: Address) -> None:
        call = self._outstanding.get(challenge.message_id)
        if call is None or not _asked(call, challenge.sender, addr) or call.cookie:
            self.count("unasked")
            return
        call.cookie = challenge.cookie
        self.count("cookies_shown")
        self._transmit(call)

    def _accept_answer(
        self, message_id: bytes, opened: envelope.Opened, data: bytes, addr: Address
    ) -> None:
        call = self._outstanding.get(message_id)
        if call is None or not _asked(call, opened.sender, addr):
            self.count("unasked")
            return
        asked = call.peer.contact.public_key  # shared by all who know it, unlike the datagram's
        if self._sessions.check_answer(call.keys, asked, data) is not Check.VALID:
            self.count("forged")
            return
        try:
            payload = opened.frame[datagram.FRAME_OVERHEAD_BYTES :]
            response = datagram.decode_response(call.request, payload)
            if isinstance(response, datagram.Pong) and response.observed != self.observed:
                datagram.unpack_address(response.observed)  # raises for a malformed one
                self.observed = response.observed
        except RemoteProtocolError:
            self._fail(call)
            raise
        self.forget(call)
        call.on_done(self.handle_call_response(opened.flags, call), response)

    def handle_call_response(self, flags: int, call: Call) -> Peer:
        """The one place where a node enters the table or moves in it."""
        now = self._clock.monotonic_s()
        rtt_s = now - call.sent_s if call.sends == 1 else None
        if rtt_s is not None:
            self.rtt.add(rtt_s)
        peer = peer_at(call.peer, call.peer.address, storage=bool(flags & envelope.STORAGE))
        if not flags & envelope.EPHEMERAL:
            trusts = bool(flags & envelope.PROVED)
            suspect = self.router.answered(peer, now, rtt_s, trusts=trusts)
            if suspect is not None:
                self._probe(suspect, now)
        return peer

    # --- requests in -----------------------------------------------------------------------

    def _accept_datagram_request(
        self, message_id: bytes, opened: envelope.Opened, data: bytes, addr: Address
    ) -> None:
        now = self._clock.monotonic_s()
        checked, keys = self._sessions.check_request(opened, data, addr, now)
        if checked is Check.NEEDS_COOKIE:
            self._endpoint.send(self._sessions.challenge(message_id, addr, now), addr)
        if checked is not Check.VALID or opened.sender == self._own:
            self.count(checked.value)
            return
        sender = _sender_of(opened, addr)
        self._sessions.remember(sender.contact.public_key, keys)
        request = datagram.decode_request(opened.frame[datagram.FRAME_OVERHEAD_BYTES :])
        known = self.router.get(sender)
        proved = known is not None and known.address == addr
        proved = proved or self._sessions.proves_address(opened, addr, now)
        allowed = DATAGRAM_MAX_BYTES
        if not proved:  # the answer and a ping together stay below the limit
            allowed = min(allowed, AMPLIFICATION_MAX * len(data) - _PING_BYTES)
        response = self._respond(sender, request, allowed - _ANSWER_OVERHEAD_BYTES)
        self._answer(message_id, sender, response, keys, allowed, proved)
        if not proved and not opened.flags & envelope.EPHEMERAL:
            self.welcome_if_new(sender, now, moved=known is not None)

    def _answer(
        self,
        message_id: bytes,
        sender: Peer,
        response: Response,
        keys: bytes,
        allowed: int,
        proved: bool,
    ) -> None:
        header = self._headers[envelope.PROVED if proved else 0]
        frame = datagram.encode_response(message_id, response)
        answer = envelope.seal(self._crypto, header, keys, frame)
        if len(answer) <= allowed:
            self._endpoint.send(answer, sender.address)

    def _respond(self, sender: Peer, request: Request, room: int) -> Response:
        """The whitelist: these procedures can be called, no others."""
        if isinstance(request, datagram.FindNode):
            return self.rpc_find_node(sender, request, room)
        if isinstance(request, datagram.Ping):
            return self.rpc_ping(sender, request)
        self.tick()
        if isinstance(request, datagram.GetProviders):
            return self.rpc_get_providers(sender, request, room)
        if isinstance(request, datagram.AddProvider):
            return self.rpc_add_provider(sender, request)
        if isinstance(request, datagram.FindContact):
            return self.rpc_find_contact(sender, request, room)
        return self.rpc_store_contact(sender, request)

    def welcome_if_new(self, node: Peer, now: float, *, moved: bool) -> None:
        """Somebody at an address not proved asked us something: ping it if its answer would put
        it into the table, or move it there."""
        if (moved or self.router.has_room_for(node)) and self._probes.take(now):
            self._probe(node, now)

    def _probe(self, peer: Peer, now: float) -> None:
        if peer.id not in self._probing:
            self._probing.add(peer.id)
            self.ask(peer, datagram.Ping(), self._probed, attempts=1)

    def _probed(self, peer: Peer, response: Response | None) -> None:
        self._probing.discard(peer.id)

    # --- the procedures --------------------------------------------------------------------

    def rpc_ping(self, sender: Peer, request: datagram.Ping) -> datagram.Pong:
        return datagram.Pong(datagram.pack_address(sender.address))

    def rpc_find_node(self, sender: Peer, request: datagram.FindNode, room: int) -> datagram.Found:
        return datagram.Found(self._contacts(sender, request.target, room))

    def rpc_find_contact(
        self, sender: Peer, request: datagram.FindContact, room: int
    ) -> datagram.FoundContact:
        record = self.contacts.get(request.node)
        if record is not None and datagram.encoded_size_bytes(record) >= room:
            record = None
        room -= datagram.encoded_size_bytes(record)
        return datagram.FoundContact(record, self._contacts(sender, request.node, room))

    def rpc_get_providers(
        self, sender: Peer, request: datagram.GetProviders, room: int
    ) -> datagram.Providers:
        records = self.storage.providers(request.key)
        reserved = 0
        if request.offset == 0:
            reserved = _CONTACTS_BESIDE_PROVIDERS * _packed_size_bytes(sender)
        room -= _PAGE_OVERHEAD_BYTES
        pairs, used = self._page(records[request.offset :], room - reserved)
        contacts = self._contacts(sender, request.key, room - used)
        return datagram.Providers(len(records), pairs, contacts)

    def _page(
        self, records: list[ProviderRecord], room: int
    ) -> tuple[list[datagram.ProviderPair], int]:
        """As many (record, contact) pairs as fit, in order, and their size in bytes."""
        pairs: list[datagram.ProviderPair] = []
        used = 0
        for record in records:
            pair = (record, self.contacts.of_provider(record))
            size = datagram.encoded_size_bytes(pair)
            if used + size > room:
                break
            pairs.append(pair)
            used += size
        return pairs, used

    def _contacts(self, sender: Peer, target: bytes, room: int) -> bytes:
        """The closest contacts that fit, of the asker's family, packed."""
        count = (room - _CONTACTS_OVERHEAD_BYTES) // _packed_size_bytes(sender)
        if count <= 0:
            return b""
        number = int.from_bytes(target, "big")
        count = min(count, datagram.CONTACTS_PER_ANSWER_MAX)
        closest = self.router.closest(number, count, sender.id, ipv6=sender.ipv6)
        return b"".join([peer.packed for peer in closest])

    def rpc_add_provider(self, sender: Peer, request: datagram.AddProvider) -> datagram.Stored:
        if request.contact.public_key != request.record.public_key:
            return datagram.Stored(Verdict.MALFORMED.value)
        verdict = self.keep(request.record)
        if verdict is Verdict.KEPT:
            self.keep(request.contact)
        return datagram.Stored(verdict.value)

    def rpc_store_contact(self, sender: Peer, request: datagram.StoreContact) -> datagram.Stored:
        return datagram.Stored(self.keep(request.contact).value)

    def keep(self, record: ProviderRecord | ContactRecord) -> Verdict:
        """Keep a record here if it is in order, in time and signed; its signature is checked
        once, so repeating a record costs nothing."""
        store: Any = self.storage if isinstance(record, ProviderRecord) else self.contacts
        verdict: Verdict = store.verdict(record)
        if verdict is not Verdict.KEPT or store.holds(record):
            return verdict
        if not self.signed(record):
            self.count("bad_signatures")
            return Verdict.BAD_SIGNATURE
        store.add(record)
        return verdict

    def signed(self, record: ProviderRecord | ContactRecord) -> bool:
        try:
            check(record, self._network, self._crypto)
        except InvalidSignature:
            return False
        return True

    # --- requests out ----------------------------------------------------------------------

    async def call_ping(self, node_to_ask: Peer) -> float:
        """The round trip in seconds; raises ConnectionLost."""
        started_s = self._clock.monotonic_s()
        await self.call(node_to_ask, datagram.Ping())
        return self._clock.monotonic_s() - started_s

    async def call_find_node(self, node_to_ask: Peer, node_to_find: Node) -> Response:
        """A Found; raises ConnectionLost."""
        return await self.call(node_to_ask, datagram.FindNode(node_to_find.id))

    async def call(self, peer: Peer, request: Request) -> Response:
        """Ask and wait; raises ConnectionLost.  May be cancelled at any time."""
        future: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

        def on_done(_: Peer, response: Response | None) -> None:
            if not future.done():
                future.set_result(response)

        call = self.ask(peer, request, on_done)
        try:
            response = await future
        finally:
            self.forget(call)
        if response is None:
            raise ConnectionLost(f"no answer from {peer.address}")
        return response

    def ask(
        self, peer: Peer, request: Request, on_done: OnDone, *, attempts: int = ATTEMPTS
    ) -> Call:
        """Send a request; ``on_done`` is called exactly once and later, with None for no answer,
        unless the call is forgotten first."""
        call = Call(peer, request, on_done, attempts)
        loop = asyncio.get_running_loop()
        try:
            if self._closed or len(self._outstanding) >= RPC_IN_FLIGHT_MAX:
                raise ConnectionLost("too many requests in flight, or stopped")
            call.keys = self._sessions.keys_for(peer.contact.public_key)
        except (ConnectionLost, InvalidSignature):
            self.count("not_sent")
            loop.call_soon(on_done, peer, None)
            return call
        self._start(call, loop)
        return call

    def _start(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        message_id = self._entropy.random_bytes(envelope.MESSAGE_ID_BYTES)
        call.frame = datagram.encode_request(message_id, call.request)
        found = self.router.entry(call.peer)
        call.timeout_s = self.rtt.timeout_s
        trusted = False
        if found:
            bucket, at = found
            trusted = bool(bucket.trusts[at]) and bucket.peers[at].address == call.peer.address
            if bucket.srtt_s[at]:
                call.timeout_s = retransmission_timeout_s(bucket.srtt_s[at], bucket.rttvar_s[at])
        if not trusted and isinstance(call.request, _BIG_ANSWER):
            call.size_bytes = FIRST_REQUEST_PADDED_BYTES
        self._outstanding[message_id] = call
        call.sent_s = self._clock.monotonic_s()
        wait_s = call.timeout_s if call.attempts > 1 else last_wait_s(call.timeout_s)
        call.timer = loop.call_later(wait_s, self._timeout, call)
        self._transmit(call)

    def _transmit(self, call: Call) -> None:
        header = self._headers[envelope.COOKIE if call.cookie else 0]
        data = envelope.seal(
            self._crypto, header, call.keys, call.frame,
            cookie=call.cookie, size_bytes=call.size_bytes,
        )  # fmt: skip
        call.sends += 1
        self._endpoint.send(data, call.peer.address)

    def _timeout(self, call: Call) -> None:
        call.attempts -= 1
        if call.attempts <= 0:
            self._fail(call)
            return
        self.count("retransmitted")
        self._transmit(call)
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(last_wait_s(call.timeout_s), self._timeout, call)

    def _fail(self, call: Call) -> None:
        self.forget(call)
        if self.router.failed(call.peer, self._clock.monotonic_s()):
            self._tracer("dht.peer_gone", node=call.peer.id.hex())
        call.on_done(call.peer, None)

    def forget(self, call: Call) -> None:
        """Stop waiting, without a word to anybody."""
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        self._outstanding.pop(call.message_id, None)

    @property
    def in_flight(self) -> int:
        return len(self._outstanding)

    def close(self) -> None:
        """Every request that waits fails at once, and no further one is sent."""
        self._closed = True
        for call in list(self._outstanding.values()):
            self.forget(call)
            call.on_done(call.peer, None)


def _asked(call: Call, sender: PublicKey, addr: Address) -> bool:
    return call.peer.contact.public_key == sender and call.peer.address == addr


def _sender_of(opened: envelope.Opened, addr: Address) -> Peer:
    role = bytes((opened.flags & envelope.STORAGE,))
    sender = unpack_peer(opened.sender + role + datagram.pack_address(addr))
    if sender is None:
        raise RemoteProtocolError(f"a request from {addr}, where nothing can be sent")
    return sender


def _packed_size_bytes(asker: Peer) -> int:
    return datagram.CONTACT_V6_BYTES if asker.ipv6 else datagram.CONTACT_V4_BYTES
