"""Datagrams in and out of one node: envelopes, session keys, cookies, and a count of refusals.

What a datagram proves decides what it may change.  Here its outside is checked: version, network,
well-formedness, and of a request the sender's MAC.  What it says is for ``calls`` (answers and
challenges to our own requests) and ``rpc`` (others' requests) to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dhtstore.dht.core.idle.flow import Flow, FlowRates
from dhtstore.dht.core.limits import OnceAMinute
from dhtstore.dht.engine.sessions import Outside, Sessions
from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.params import MALFORMED_TOLD_PER_MINUTE
from dhtstore.wire import envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, REQUEST, RESPONSE
from dhtstore.wire.envelope import CHALLENGE, COOKIE, PROVED, Challenge, Opened

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto, Endpoint, Entropy
    from dhtstore.trace import Tracer


# Message id, the datagram's parts (an answer's MAC is not checked yet), the datagram, its source.
OnAnswer = Callable[[bytes, Opened, bytes, Address], None]
# Message id, parts, session keys (the MAC is valid), size in bytes, source, monotonic seconds.
OnRequest = Callable[[bytes, Opened, bytes, int, Address, float], None]
OnChallenge = Callable[[Challenge, Address], None]  # nothing of it is proved


class Channel:
    """Sends and receives sealed frames through an Endpoint, which it does not own."""

    on_answer: OnAnswer
    on_request: OnRequest
    on_challenge: OnChallenge

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
        self.own = crypto.node.public_key
        self.sessions = Sessions(network, crypto, self.own, entropy.random_bytes(32))
        self.counters: dict[str, int] = {}
        self.flow = Flow()
        self._malformed_told = OnceAMinute(MALFORMED_TOLD_PER_MINUTE)
        self._prefix, self._crypto, self._clock = network.datagram_prefix, crypto, clock
        self._endpoint, self._tracer = endpoint, tracer
        flags = envelope.STORAGE * storage_node | envelope.EPHEMERAL * ephemeral
        self._plain = envelope.header_of(network, flags, self.own)
        self._with_cookie = envelope.header_of(network, flags | COOKIE, self.own)
        self._proved = envelope.header_of(network, flags | PROVED, self.own)

    def count(self, what: str, number: int = 1) -> None:
        self.counters[what] = self.counters.get(what, 0) + number

    @property
    def behind(self) -> bool:
        """See ``net.ports.Endpoint.behind``."""
        return self._endpoint.behind

    @property
    def lost(self) -> int:
        """See ``net.ports.Endpoint.lost``."""
        return self._endpoint.lost

    def rates(self) -> FlowRates | None:
        """What came and went lately; see ``Flow.rates``."""
        return self.flow.rates(self._clock.monotonic_s())

    # --- in --------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address) -> None:
        """Never raises: one peer's bytes cost only their own answer."""
        self.flow.packets_in += 1
        self.flow.bytes_in += len(data)
        try:
            self._receive(data, source)
        except RemoteProtocolError as error:
            self.count("malformed")
            if self._malformed_told.take(source.host, self._clock.monotonic_s()):
                self._tracer("dht.malformed", source=str(source), error=str(error))
        except Exception as error:
            self.count("defects")
            self._tracer("dht.defect", source=str(source), error=repr(error))

    def _receive(self, data: bytes, source: Address) -> None:
        if not data.startswith(self._prefix):
            self.count("other_network")
            return
        opened = envelope.parse(data)
        if opened is None or opened.flags & CHALLENGE:
            self._receive_challenge(data, source)
            return
        frame = opened.frame
        if len(frame) <= FRAME_OVERHEAD_BYTES:
            raise RemoteProtocolError("a datagram whose outside is malformed")
        kind, message_id = frame[0], frame[1:FRAME_OVERHEAD_BYTES]
        if kind == REQUEST:
            self._receive_request(message_id, opened, data, source)
        elif kind == RESPONSE:
            self.on_answer(message_id, opened, data, source)
        else:
            self.count("unknown")  # of a later version; whether an answer is owed nobody knows

    def _receive_challenge(self, data: bytes, source: Address) -> None:
        challenge = envelope.parse_challenge(data)
        if challenge is None:
            raise RemoteProtocolError("a datagram whose outside is malformed")
        self.on_challenge(challenge, source)

    def _receive_request(
        self, message_id: bytes, opened: Opened, data: bytes, source: Address
    ) -> None:
        now = self._clock.monotonic_s()
        checked, keys = self.sessions.check_request(opened, data, source, now)
        if checked is Outside.VALID and opened.sender != self.own:
            self.on_request(message_id, opened, keys, len(data), source, now)
            return
        if checked is Outside.NEEDS_COOKIE:
            self.challenge(message_id, source, now)
        else:
            self.count(checked.value)

    # --- out -------------------------------------------------------------------------------

    def challenge(self, message_id: bytes, source: Address, now: float) -> None:
        """Ask who sent a request to show that it receives at ``source``."""
        told = self.sessions.challenge(message_id, source, now)
        if told is None:
            self.count(Outside.OVER_RATE.value)
            return
        self._send(told, source)
        self.count(Outside.NEEDS_COOKIE.value)

    def reaches(self, *, ipv6: bool) -> bool:
        """Whether anything can be sent to addresses of that family from here."""
        host = self._endpoint.local.host
        return ipv6 == (":" in host) or host == "::"

    def send_request(
        self, frame: bytes, keys: bytes, cookie: bytes, size_bytes: int, to: Address
    ) -> None:
        """``cookie`` may be empty; pads the datagram to ``size_bytes``."""
        header = self._with_cookie if cookie else self._plain
        data = envelope.seal(
            self._crypto, header, keys, frame, cookie=cookie, size_bytes=size_bytes
        )
        self._send(data, to)

    def send_answer(
        self, frame: bytes, keys: bytes, to: Address, allowed_bytes: int, *, proved: bool
    ) -> None:
        """Nothing is sent if the datagram is larger than ``allowed_bytes``; ``proved`` tells the
        peer that it need not pad its requests to us any more."""
        header = self._proved if proved else self._plain
        data = envelope.seal(self._crypto, header, keys, frame)
        if len(data) <= allowed_bytes:
            self._send(data, to)

    def _send(self, data: bytes, to: Address) -> None:
        self.flow.packets_out += 1
        self.flow.bytes_out += len(data)
        self._endpoint.send(data, to)
