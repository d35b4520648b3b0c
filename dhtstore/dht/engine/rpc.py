"""Requests and answers between nodes: where the parts meet, and where a request finds its answer.

A request earns an answer, at most three times its size until its address is proved, and a
rationed ping.  Dispatch is synchronous: no task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kademlia.node import Node

from dhtstore.dht.core.limits import PerSecond
from dhtstore.dht.core.peer import Peer, unpack_peer
from dhtstore.dht.core.table import Table
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.channel import Channel
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.dht.engine.holding.probing import Probing
from dhtstore.dht.engine.holding.reaching import Reaching
from dhtstore.dht.engine.procedures import Procedures
from dhtstore.dht.engine.returning.returning import Returning
from dhtstore.dht.engine.sessions import Outside
from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.model.identity import node_id
from dhtstore.model.network import Network
from dhtstore.params import (
    AMPLIFICATION_MAX,
    DATAGRAM_MAX_BYTES,
    REQUESTS_PER_LINE_PER_S,
    REQUESTS_PER_S,
    REQUESTS_PER_SUBNET_PER_S,
    K,
)
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, UNSUPPORTED
from dhtstore.wire.envelope import EPHEMERAL, STORAGE, Opened

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto, Endpoint, Entropy
    from dhtstore.trace import Tracer

_ANSWER_OVERHEAD_BYTES: Final = envelope.OVERHEAD_BYTES + FRAME_OVERHEAD_BYTES
_STORES, _STORES_NOT = bytes((STORAGE,)), bytes(1)
_PING_BYTES: Final = _ANSWER_OVERHEAD_BYTES + 8


class NodeRpc:
    """One node's end of the protocol: its table, its calls out and its procedures."""

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
        self.channel = Channel(
            network=network,
            crypto=crypto,
            clock=clock,
            entropy=entropy,
            endpoint=endpoint,
            tracer=tracer,
            storage_node=storage_node,
            ephemeral=ephemeral,
        )
        self._requests = PerSecond(
            REQUESTS_PER_LINE_PER_S, REQUESTS_PER_SUBNET_PER_S, REQUESTS_PER_S
        )
        self.table = Table(Node(node_id(self.channel.own)), K)
        self.calls = Calls(self.channel, self.table, clock, entropy, tracer)
        self.keeper = RecordKeeper(self.channel, network, crypto, clock)
        reaching = Reaching(self.table, self.calls, self.keeper, clock)
        self.probing = Probing(self.table, self.calls, self.keeper, clock, entropy.rng)
        self.returning = Returning(self.table, self.calls, clock)
        self.calls.blame.on_gone = self.returning.gone
        self.procedures = Procedures(
            self.table, self.keeper, reaching, self.probing, self.calls.probes.told, clock.unix_s
        )
        self.channel.on_request = self._on_request
        self.channel.on_answer = self.calls.on_answer
        self.channel.on_challenge = self.calls.on_challenge

    def end_timers(self) -> None:
        """Those that set themselves again: no task owns them.  Whoever ends a node, or cuts its
        life off, ends them, or it would go on asking for ever."""
        self.probing.close()
        self.returning.close()

    def _on_request(
        self, message_id: bytes, opened: Opened, keys: bytes, size_bytes: int, source: Address,
        now: float,
    ) -> None:  # fmt: skip
        sender = _sender_of(opened, source)
        known = self.table.get(sender)
        if sender.site and not self._requests.take(
            sender.line, sender.subnet, now, beyond=known is not None
        ):
            self.channel.count(Outside.OVER_RATE.value)
            return
        sessions = self.channel.sessions
        sessions.remember(sender.contact.public_key, keys)
        request = datagram.decode_request(opened.frame[FRAME_OVERHEAD_BYTES:])
        proved = known is not None and known.address == source
        if proved:
            self.calls.blame.asked_by(sender)
            self.keeper.lives.asked_us(sender.contact.public_key, now)
        proved = proved or sessions.proves_address(opened, source, now)
        allowed = DATAGRAM_MAX_BYTES
        if not proved:  # the answer and a ping together stay below the limit
            allowed = min(allowed, AMPLIFICATION_MAX * size_bytes - _PING_BYTES)
        room_bytes = allowed - _ANSWER_OVERHEAD_BYTES
        response = self.procedures.respond(sender, request, room_bytes, proved=proved)
        if response is None:
            self.channel.challenge(message_id, source, now)
            return
        if response is UNSUPPORTED:
            self.channel.count("unsupported")
        frame = datagram.encode_response(message_id, response)
        self.channel.send_answer(frame, keys, source, allowed, proved=proved)
        if not proved and not opened.flags & EPHEMERAL:
            self.calls.probes.newcomer(sender, moved=known is not None)


def _sender_of(opened: Opened, source: Address) -> Peer:
    role = _STORES if opened.flags & STORAGE else _STORES_NOT
    sender = unpack_peer(opened.sender + role + datagram.pack_address(source))
    if sender is None:
        raise RemoteProtocolError(f"a request from {source}, where nothing can be sent")
    return sender
