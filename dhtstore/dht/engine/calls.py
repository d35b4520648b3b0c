"""Requests out: who is asked, how long it is waited for, and what an answer proves.

Only an answer to our own random id, from the key and the address we asked, touches the routing
table.  No task and one timer per request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from rpcudp.protocol import RPCProtocol

from dhtstore.dht.core.asking.late import AnsweredOnce, LateAnswers
from dhtstore.dht.core.asking.rtt import (
    RttEstimate,
    last_wait_s,
    retransmission_timeout_s,
    round_trip_s,
)
from dhtstore.dht.core.asking.window import RequestWindow
from dhtstore.dht.core.bucket import Bucket
from dhtstore.dht.core.introductions import Introductions, Lines
from dhtstore.dht.core.newcomers.own_line import OwnLine
from dhtstore.dht.core.peer import Peer, peer_at
from dhtstore.dht.core.peer_clocks import PeerClocks
from dhtstore.dht.core.table import Table, heard_last
from dhtstore.dht.engine.channel import Channel
from dhtstore.dht.engine.in_turn import InTurn
from dhtstore.dht.engine.sessions import Outside
from dhtstore.errors import ConnectionLost, InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.params import (
    BEHIND_MAX,
    BEHIND_S,
    FIRST_REQUEST_PADDED_BYTES,
    RPC_IN_FLIGHT_MAX,
    RPC_TIMEOUT_MAX_S,
)
from dhtstore.wire import datagram
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES, Ping, Pong, Request, Response
from dhtstore.wire.envelope import EPHEMERAL, MESSAGE_ID_BYTES, PROVED, STORAGE, Challenge, Opened

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Entropy
    from dhtstore.trace import Tracer

OnDone = Callable[[Peer, Response | None], None]


class OnGone(Protocol):
    """Is told who went from the table, and whether it was ``believed`` in."""

    def __call__(self, peer: Peer, *, believed: bool) -> None: ...


ATTEMPTS: Final = 2  # the request and one retransmission
_BIG_ANSWER: Final = (
    datagram.FindNode,
    datagram.GetProviders,
    datagram.FindContact,
    datagram.FindPolicy,
)


class PendingCall:
    """One request that awaits its answer; ``provoked`` if a stranger chose when to make us ask."""

    __slots__ = (
        "attempts", "behind", "cookie", "frame", "keys", "last_s", "lost", "message_id", "on_done",
        "peer", "provoked", "request", "sends", "sent_s", "size_bytes", "timeout_s",
    )  # fmt: skip

    def __init__(
        self, peer: Peer, request: Request, on_done: OnDone, attempts: int, *, provoked: bool
    ) -> None:
        self.peer, self.request, self.on_done, self.attempts = peer, request, on_done, attempts
        self.provoked = provoked
        self.keys = self.cookie = self.frame = self.message_id = b""
        self.sends = self.size_bytes = self.lost = self.behind = 0
        self.sent_s = self.last_s = self.timeout_s = 0.0  # ``last_s``: sent for the last time

    @property
    def pings(self) -> bool:
        """Whether its answer shows no more than that somebody is there."""
        return isinstance(self.request, Ping)

    def transmit(self, channel: Channel, now: float) -> None:
        """Send it, once more if it was."""
        self.sends += 1
        self.last_s = now
        channel.send_request(self.frame, self.keys, self.cookie, self.size_bytes, self.peer.address)

    def end(self, response: Response | None) -> None:
        """By an answer, or by None for none."""
        self.on_done(self.peer, response)


class Calls(RPCProtocol):
    """rpcudp's table of outstanding requests, (call, timer) by message id, with answers that must
    prove themselves first.  Sending, waiting and failing are ours, for every peer in its own time,
    and so is the end of a call, for which the library encodes two values to log nothing."""

    _outstanding: dict[bytes, tuple[PendingCall, asyncio.TimerHandle]]

    def __init__(
        self, channel: Channel, table: Table, clock: Clock, entropy: Entropy, tracer: Tracer
    ) -> None:
        super().__init__()
        self.clocks = PeerClocks()
        self._channel, self._table = channel, table
        self._clock, self._entropy = clock, entropy
        self.probes = Probes(self, table, clock)
        self.lines: Lines[PendingCall] = Lines(self._start)
        self.window: RequestWindow[PendingCall] = RequestWindow(self._send)
        self.timing = Timing(channel, table, self.window)
        self.rtt = self.timing.rtt
        self.crowds, self._closed, self.heard_s = table.crowds, False, -math.inf
        self.blame = Blame(self, channel, table, clock, tracer)

    def __getattr__(self, name: str) -> Any:
        """The library would make a remote call of every unknown name."""
        raise AttributeError(f"{type(self).__name__} has no {name}")

    @property
    def in_flight(self) -> int:
        return len(self._outstanding) + self.lines.waiting + self.window.waiting

    def close(self) -> None:
        """Every request that waits fails at once, and no further one is sent."""
        self._closed = True
        waiting = [*self.window.all_waiting(), *self.lines.all_waiting()]
        for call in [*(call for call, _ in self._outstanding.values()), *waiting]:
            self.forget(call)
            call.end(None)

    def introductions(self) -> Introductions[PendingCall]:
        """Whom others' word may lead to, in a lookup that begins now."""
        return Introductions(self.lines, self._table.silences, self._clock.monotonic_s())

    # --- asking ----------------------------------------------------------------------------

    async def ping(self, peer: Peer) -> float:
        """The round trip in seconds; raises ConnectionLost."""
        started_s = self._clock.monotonic_s()
        await self.call(peer, Ping())
        return self._clock.monotonic_s() - started_s

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
        self, peer: Peer, request: Request, on_done: OnDone, *, attempts: int = ATTEMPTS,
        provoked: bool = False,
    ) -> PendingCall:  # fmt: skip
        """Send a request, once few enough are out, and nothing else to an address that never
        answered; ``on_done`` is called exactly once and later, with None for no answer, unless the
        call is forgotten first.  What a stranger ``provoked`` says nothing of our line."""
        call = PendingCall(peer, request, on_done, attempts, provoked=provoked)
        full = self._closed or self.in_flight >= RPC_IN_FLIGHT_MAX
        refused = full or not self._channel.reaches(ipv6=peer.ipv6)
        turn = None if refused else self.lines.begin(peer.line, call)
        if turn is None:
            self._not_sent(call)
        elif turn:
            self._start(call)
        return call

    def _not_sent(self, call: PendingCall) -> None:
        self._channel.count("not_sent")
        asyncio.get_running_loop().call_soon(call.end, None)

    def _start(self, call: PendingCall) -> None:
        if self.window.begin(call):
            self._send(call)

    def _send(self, call: PendingCall) -> None:
        try:
            call.keys = self._channel.sessions.keys_for(call.peer.contact.public_key)
        except InvalidSignature:
            self._not_sent(call)
            self._leave(call)
            return
        call.message_id = message_id = self._entropy.random_bytes(MESSAGE_ID_BYTES)
        call.frame = datagram.encode_request(message_id, call.request)
        found = self._table.entry(call.peer)
        call.timeout_s = self.timing.timeout_s(found)
        if isinstance(call.request, _BIG_ANSWER) and not _trusts_us(call.peer, found):
            call.size_bytes = FIRST_REQUEST_PADDED_BYTES
        call.sent_s, call.lost = self._clock.monotonic_s(), self._channel.lost
        self._wait(call, call.timeout_s if call.attempts > 1 else last_wait_s(call.timeout_s))
        call.transmit(self._channel, self._clock.monotonic_s())

    def _wait(self, call: PendingCall, wait_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(wait_s, self._timed_out, call)
        self._outstanding[call.message_id] = (call, timer)

    def _timed_out(self, call: PendingCall) -> None:
        if self.blame.waits(call):
            self._wait(call, BEHIND_S)
            return
        call.attempts -= 1
        if call.attempts <= 0:
            self._fail(call)
            return
        self.window.end(call)
        self._channel.count("retransmitted")
        call.transmit(self._channel, self._clock.monotonic_s())
        self._wait(call, last_wait_s(call.timeout_s))

    def _fail(self, call: PendingCall) -> None:
        self.forget(call)
        self.blame.failed(call)
        call.end(None)

    def forget(self, call: PendingCall) -> None:
        """Stop waiting, without a word to anybody."""
        entry = self._outstanding.pop(call.message_id, None)
        if entry is not None:
            entry[1].cancel()
        elif not self.window.forget(call):
            self.lines.forget(call.peer.line, call)
            return
        self._leave(call)

    def _leave(self, call: PendingCall) -> None:
        """It is out no more: others may be."""
        self.window.end(call)
        if not self._closed:
            self.lines.silent(call.peer.line)

    def on_challenge(self, challenge: Challenge, source: Address) -> None:
        """Repeat the request that a peer wants a cookie for, once."""
        call = self._asked(challenge.message_id, challenge.sender, source)
        if call is None or call.cookie:
            self._channel.count("unasked")
            return
        call.cookie = challenge.cookie
        self._channel.count("cookies_shown")
        call.transmit(self._channel, self._clock.monotonic_s())

    def on_answer(self, message_id: bytes, opened: Opened, data: bytes, source: Address) -> None:
        """End the call that a datagram answers; raises RemoteProtocolError for a malformed one."""
        call = self._asked(message_id, opened.sender, source)
        if call is None:
            self._channel.count(self.timing.answered_again(message_id, opened, data, source))
            return
        asked = call.peer.contact.public_key  # shared by all who know it, unlike the datagram's
        if self._channel.sessions.check_answer(call.keys, asked, data) is not Outside.VALID:
            self._channel.count("forged")
            return
        try:
            response = datagram.decode_response(call.request, opened.frame[FRAME_OVERHEAD_BYTES:])
        except RemoteProtocolError:
            self._fail(call)
            raise
        self._heard(call, opened.flags)
        if isinstance(response, Pong) and response.unix_s:
            self.clocks.heard(call.peer.id, response.unix_s, self._clock.monotonic_s())
        self._outstanding.pop(message_id)[1].cancel()
        self.window.end(call)
        call.end(response)

    def _asked(self, message_id: bytes, sender: PublicKey, source: Address) -> PendingCall | None:
        """The request of that id, if it went to that key at that address."""
        entry = self._outstanding.get(message_id)
        if entry is None:
            return None
        peer = entry[0].peer
        same = peer.contact.public_key == sender and peer.address == source
        return entry[0] if same else None

    def _heard(self, call: PendingCall, flags: int) -> None:
        """The one place where a node enters the table or moves in it."""
        self.heard_s = now = self._clock.monotonic_s()
        peer = call.peer = peer_at(call.peer, call.peer.address, storage=bool(flags & STORAGE))
        rtt_s = self.timing.answered(call, now)
        self.blame.heard(now)
        self.lines.answered(peer)
        if not flags & EPHEMERAL:
            trusts, pong = bool(flags & PROVED), call.pings
            suspect = self._table.answered(peer, now, rtt_s, trusts=trusts, pong=pong)
            if suspect is not None:
                self.probes.ask(suspect)


def _trusts_us(peer: Peer, found: tuple[Bucket, int] | None) -> bool:
    """Whether ``peer`` knows our address, as the table has it where it was ``found``."""
    if found is None:
        return False
    bucket, at = found
    return bool(bucket.trusts[at]) and bucket.peers[at].address == peer.address


class Timing:
    """How long answers take, and how many of those who answer must be asked twice.

    Of those that this node asked for reasons of its own: whoever can make it ask could else answer
    as often as it likes, late, at once or only what was sent again, and so choose how long others
    are waited for and how many are asked at once."""

    def __init__(self, channel: Channel, table: Table, window: RequestWindow[PendingCall]) -> None:
        self._channel, self._table, self._window = channel, table, window
        self.rtt, self._late = RttEstimate(), LateAnswers()

    def timeout_of(self, peer: Peer) -> float:
        """How long nearly all of its answers take, or nearly all answers if it gave none yet."""
        return self.timeout_s(self._table.entry(peer))

    def timeout_s(self, found: tuple[Bucket, int] | None) -> float:
        """Of the peer that was found there in the table."""
        if found and (srtt_s := found[0].srtt_s[found[1]]):
            return retransmission_timeout_s(srtt_s, found[0].rttvar_s[found[1]])
        return self.rtt.timeout_s

    def answered(self, call: PendingCall, now: float) -> float | None:
        """A request was answered; the round trip, if that shows it."""
        took_s, lost = now - call.sent_s, call.sends > 1 and not call.cookie
        if call.provoked:
            return round_trip_s(took_s, once=call.sends == 1)
        if lost and took_s <= ATTEMPTS * RPC_TIMEOUT_MAX_S:  # else the machine slept meanwhile
            answered = AnsweredOnce(call.peer, call.keys, took_s)
            self._late.add(call.message_id, answered)
        self._window.answered(lost=lost)
        return self.rtt.answered(took_s, once=call.sends == 1, lost=lost)

    def answered_again(
        self, message_id: bytes, opened: Opened, data: bytes, source: Address
    ) -> str:
        """A datagram nobody waits for, maybe the second answer of one who was asked twice; as what
        it counts."""
        late = self._late.find(message_id, opened.sender, source)
        if late is None:
            return "unasked"
        key = late.peer.contact.public_key
        if self._channel.sessions.check_answer(late.keys, key, data) is not Outside.VALID:
            return "forged"
        self._late.done(message_id)
        self._window.was_late()
        self.rtt.was_late(late.took_s)
        if found := self._table.entry(late.peer):
            found[0].measured(found[1], late.took_s)
        return "late"


class Blame:
    """Whose fault it is that nobody answered, and what follows for the table; ``on_gone`` is told
    of those that went from it."""

    def __init__(
        self, calls: Calls, channel: Channel, table: Table, clock: Clock, tracer: Tracer
    ) -> None:
        self._calls, self._channel, self._table = calls, channel, table
        self._clock, self._tracer = clock, tracer
        self._line, self._line_asked = OwnLine(), False
        self._caller: Peer | None = None
        self.on_gone: OnGone = _ignored

    def asked_by(self, peer: Peer) -> None:
        """One of the table asked us something: nobody is likelier to answer."""
        self._caller = peer

    def heard(self, now: float) -> None:
        """Somebody answered: those who were silent before are to blame for it."""
        for peer, ping in self._line.heard(now):
            self._put_on(peer, ping=ping)

    def waits(self, call: PendingCall) -> bool:
        """Whether the answer may be among what has arrived and is not read yet."""
        if not self._channel.behind or call.behind >= BEHIND_MAX:
            return False
        call.behind += 1
        return True

    def failed(self, call: PendingCall) -> None:
        """``call`` was not answered."""
        now = self._clock.monotonic_s()
        dropped = self._channel.lost != call.lost  # and maybe its answer
        if dropped or self._line.was_deaf(call.last_s):
            self._channel.count("not_blamed")
        elif self._line.suspect(call.last_s, now) and self._another_tells(call.peer):
            self._line.hold(call.peer, ping=call.pings)
        else:
            self._put_on(call.peer, ping=call.pings)

    def _put_on(self, peer: Peer, *, ping: bool) -> None:
        self._calls.lines.failed(peer)
        believed = peer not in self._table.newcomers
        if self._table.failed(peer, self._clock.monotonic_s(), ping=ping):
            self._tracer("dht.peer_gone", node=peer.id.hex())
            self.on_gone(peer, believed=believed)

    def _another_tells(self, silent: Peer) -> bool:
        """Nobody was heard since ``silent`` was asked: ask who asked us last or else answered last,
        unless that is going on.  False if there is nobody else, who would be silent, too."""
        last, without = self._caller, {silent.id, *self._line.held}
        if last is None or last.id in without:
            last = heard_last(self._table, without)
        if last is None or self._line_asked:
            return last is not None or bool(self._line.held)

        def answered(peer: Peer, response: Response | None) -> None:
            self._line_asked = False
            if response is None:
                self._channel.count("not_blamed", self._line.deaf(asked_s))

        self._line_asked = True
        asked_s = self._clock.monotonic_s()
        self._calls.ask(last, Ping(), answered, provoked=True)
        return True


def _ignored(peer: Peer, *, believed: bool) -> None:
    """Before somebody wants to know."""


class Probes:
    """Pings that nobody awaits: whether a peer is where it was heard, or still there."""

    def __init__(self, calls: Calls, table: Table, clock: Clock) -> None:
        self._calls, self._table, self._clock = calls, table, clock
        self._probing: set[bytes] = set()
        self._newcomers = InTurn(clock)

    def newcomer(self, peer: Peer, *, moved: bool) -> None:
        """Somebody at an address not proved asked us something: ping it if its answer would put
        it into the table, or move it there; else those of its origin that are in its way."""
        now = self._clock.monotonic_s()
        if moved or self._table.has_room_for(peer, now):
            self._ask_in_turn(peer)
            return
        for other in self._table.newcomers.in_the_way(peer, now):
            self._ask_in_turn(other)

    def told(self, named: Iterable[Peer]) -> None:
        """Others hear of these: ping the newcomers among them that were not heard for a while."""
        if not self._table.newcomers:
            return
        for peer in self._table.newcomers.due(named, self._clock.monotonic_s()):
            self._ask_in_turn(peer)

    def ask(self, peer: Peer) -> None:
        """Ping ``peer``, unless that is going on."""
        if peer.id not in self._probing:
            self._probing.add(peer.id)
            self._send(peer)

    def _ask_in_turn(self, peer: Peer) -> None:
        if peer.id in self._probing:
            return
        if self._newcomers.add(peer.subnet, partial(self._send, peer)):
            self._probing.add(peer.id)

    def _send(self, peer: Peer) -> None:
        self._calls.ask(peer, Ping(), self._asked, attempts=1, provoked=True)

    def _asked(self, peer: Peer, response: Response | None) -> None:
        self._probing.discard(peer.id)
