"""The sending half of a stream: what is on its way, in which windows, and what is lost of it.

Offsets only; the bytes themselves stay with the ``Pipe``.  A flight leaves by the line of its
machine, takes the pair's latency, and arrives by the line of the target; what is acknowledged
comes back a latency later and opens the window (``congestion``).  Of lost segments the sender
hears a round trip after they left (RACK, RFC 8985), and sends them again; one that is lost several
times waits for a time-out, twice as long each time (RFC 6298).  Acknowledgements are not lost, and
take no bandwidth: one of 40 bytes for each second segment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from simulations.world.network.congestion import SEGMENT_BYTES, Congestion
from simulations.world.network.machine import Machine
from simulations.world.network.network import SimNetwork

RTO_MIN_S, RTO_MAX_S = 0.2, 120.0  # Linux
RETRIES_MAX = 15  # net.ipv4.tcp_retries2
_SEEN_BY_OTHERS, _REORDERING = 2, 1.25  # RFC 8985 section 7.1: a quarter of a round trip


@dataclass(slots=True)
class Flight:
    """Bytes that were sent in one go; ``parts`` of it are still to arrive.  ``end_bytes`` is the
    offset behind it; the end of the stream is a piece of no bytes."""

    size_bytes: int
    end_bytes: int
    sent_s: float
    limited: bool
    parts: int = 1


class Receiver:
    """What a sender must know of the other end; told by the ``Pipe``."""

    __slots__ = ("arrived", "edge_bytes", "gone")

    def __init__(
        self, arrived: Callable[[Flight], None], edge: Callable[[], int], gone: Callable[[], bool]
    ) -> None:
        self.arrived, self.edge_bytes, self.gone = arrived, edge, gone


class RoundTrips:
    """How long they take here, and so when something is taken for lost."""

    __slots__ = ("usual_s",)

    def __init__(self, usual_s: float) -> None:
        self.usual_s = usual_s

    def took(self, round_trip_s: float) -> None:
        self.usual_s += (round_trip_s - self.usual_s) / 8  # RFC 6298 section 2

    def heard_of_s(self, tries: int) -> float:
        """How long after it left the sender knows that it was lost: by what was sent later and
        has arrived, also of what was sent again (RACK, RFC 8985); then by time-outs only."""
        if tries <= _SEEN_BY_OTHERS:
            return self.usual_s * (_REORDERING if tries else 1.0)
        return self.time_out_s(tries - _SEEN_BY_OTHERS)

    def time_out_s(self, tries: int) -> float:
        first_s = max(RTO_MIN_S, 2 * self.usual_s)
        return min(RTO_MAX_S, first_s * 2.0 ** (tries - 1))


class Sender:
    """``on_acked`` is called when there is room for more, ``on_dead`` when nobody answers."""

    __slots__ = (
        "_back", "_closed", "_congestion", "_cut_s", "_edge_bytes", "_finishing", "_flights",
        "_in_flight", "_last_s", "_network", "_next_bytes", "_on_acked", "_on_dead",
        "_recovery_bytes", "_source", "_target", "_trips", "_unsent",
    )  # fmt: skip

    def __init__(
        self,
        network: SimNetwork,
        source: Machine,
        target: Machine,
        receiver: Receiver,
        on_acked: Callable[[], None],
        on_dead: Callable[[str], None],
    ) -> None:
        self._network, self._source, self._target = network, source, target
        self._back, self._on_acked, self._on_dead = receiver, on_acked, on_dead
        self._congestion: Congestion = network.congestion()
        self._flights: deque[Flight] = deque()  # on their way, in order
        self._unsent = self._in_flight = self._next_bytes = 0
        self._edge_bytes, self._recovery_bytes = network.receive_buffer_bytes, 0
        self._finishing = self._closed = False
        self._last_s = self._cut_s = network.loop.time()
        self._trips = RoundTrips(network.round_trip_s(source, target))

    @property
    def window_bytes(self) -> float:
        return self._congestion.window_bytes

    @property
    def unacked_bytes(self) -> int:
        """Handed over and not yet acknowledged."""
        return self._unsent + self._in_flight

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way, nor waits to be."""
        return not (self._unsent or self._flights)

    # --- what the pipe says -----------------------------------------------------------------

    def send(self, size_bytes: int) -> None:
        """So many more bytes."""
        now_s = self._network.loop.time()
        if self.quiet and now_s - self._last_s > self._trips.time_out_s(1):
            self._congestion.idle()
        self._unsent += size_bytes
        self._pump()

    def finish(self) -> None:
        """Send the end of the stream, behind the data."""
        self._finishing = True
        self._pump()

    def close(self) -> None:
        """Nothing more leaves here; what has left goes on."""
        self._closed = True
        self._unsent = 0
        if self._source.up is not None:
            self._source.up.forget(self)

    def open_window(self, edge_bytes: int) -> None:
        """The reader has made room, up to that offset."""
        self._edge_bytes = max(self._edge_bytes, edge_bytes)
        self._pump()

    # --- leaving ----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what the windows allow; not in smaller pieces than a segment (RFC 1122 4.2.3.4)."""
        while self._unsent and not self._closed:
            window = int(self._congestion.window_bytes)
            room = min(window - self._in_flight, self._edge_bytes - self._next_bytes)
            size = min(self._unsent, room, self._network.piece_bytes(self._source, self._target))
            if size <= 0 or (size < min(self._unsent, SEGMENT_BYTES) and self._in_flight):
                break
            self._unsent -= size
            self._in_flight += size
            limited = self._in_flight + SEGMENT_BYTES > window or bool(self._unsent)
            self._begin(size, limited=limited)
        if self._finishing and not self._unsent and not self._closed:
            self._finishing = False
            self._begin(0, limited=False)

    def _begin(self, size: int, *, limited: bool) -> None:
        self._next_bytes += size
        now_s = self._last_s = self._network.loop.time()
        flight = Flight(size, self._next_bytes, now_s, limited)
        self._flights.append(flight)
        self._leave(flight, size, 0)

    def _leave(self, flight: Flight, size: int, tries: int) -> None:
        """By the source's line; what will be lost passes it, too."""
        network, source = self._network, self._source
        source.sent_bytes += size
        source.streamed_bytes += size
        delay_s = network.delay_s(source, self._target)
        lost = self._lost(size)
        if lost:
            self._carry(
                lost, self._trips.heard_of_s(tries), partial(self._again, flight, lost, tries + 1)
            )
            flight.parts += lost < size
        if lost < size or not size:  # the end of a stream is never lost: it rides with the data
            self._carry(size - lost, delay_s, partial(self._reach, flight, size - lost, tries))

    def _carry(self, size: int, after_s: float, then: Callable[[], None]) -> None:
        if self._source.up is None:
            self._network.loop.post(after_s, then)
        else:
            self._source.up.carry(self, size, after_s, then)

    # --- on the way -------------------------------------------------------------------------

    def _lost(self, size: int) -> int:
        """How many bytes of it are lost, whole segments."""
        lost = self._network.losses(self._source, self._target, -(-size // SEGMENT_BYTES))
        return min(size, lost * SEGMENT_BYTES)

    def _again(self, flight: Flight, size: int, tries: int) -> None:
        if tries > RETRIES_MAX:
            self._on_dead("the peer did not answer: connection timed out")
            return
        now_s = self._network.loop.time()
        late = tries > _SEEN_BY_OTHERS + 1 and now_s - self._cut_s > self._trips.time_out_s(1)
        first = late or flight.end_bytes > self._recovery_bytes
        self._congestion.lost(now_s, size, first=first)
        if first:  # what was on its way together is one sign of a full path (RFC 6675)
            self._recovery_bytes, self._cut_s = self._next_bytes, now_s
        self._leave(flight, size, tries)

    def _reach(self, flight: Flight, size: int, tries: int) -> None:
        """The last hop: the line of the target."""
        if not self._network.reachable_by_stream(self._source, self._target):
            self._network.when_healed(partial(self._resume, flight, size, tries))
        elif self._target.down is None:
            self._arrive(flight, size, tries)
        else:
            arrive = partial(self._arrive, flight, size, tries)
            lost = partial(self._overflow, flight, size, tries)
            self._target.down.carry(self, size, 0.0, arrive, lost)

    def _overflow(self, flight: Flight, size: int, tries: int) -> None:
        """The buffer before the target's line is full; the next acknowledgement tells."""
        self._network.loop.post(self._trips.heard_of_s(tries), self._again, flight, size, tries + 1)

    def _resume(self, flight: Flight, size: int, tries: int) -> None:
        """The way is open again: what was held arrives one latency later."""
        delay_s = self._network.delay_s(self._source, self._target)
        self._network.loop.post(delay_s, self._reach, flight, size, tries)

    # --- there ------------------------------------------------------------------------------

    def _arrive(self, flight: Flight, size: int, tries: int) -> None:
        if self._back.gone():
            self._network.loop.post(
                self._trips.time_out_s(tries + 1), self._again, flight, size, tries + 1
            )
            return
        self._target.received_bytes += size
        flight.parts -= 1
        while self._flights and not self._flights[0].parts:
            self._back.arrived(self._flights.popleft())
        self._acknowledge(flight, size, fresh=not tries)

    def _acknowledge(self, flight: Flight, size: int, *, fresh: bool) -> None:
        """The other end says what it has, once that way is open."""
        network = self._network
        if network.reachable_by_stream(self._target, self._source):
            delay_s, edge = network.delay_s(self._target, self._source), self._back.edge_bytes()
            network.loop.post(delay_s, self._hear, flight, size, edge, fresh)
        else:
            network.when_healed(partial(self._acknowledge, flight, size, fresh=False))

    def _hear(self, flight: Flight, size: int, edge_bytes: int, fresh: bool) -> None:
        """An acknowledgement comes back; round trips are of what was sent once (Karn 1987)."""
        now_s = self._network.loop.time()
        self._in_flight -= size
        self._edge_bytes = max(self._edge_bytes, edge_bytes)
        if fresh:
            self._trips.took(now_s - flight.sent_s)
        self._congestion.acked(now_s, self._trips.usual_s, size, limited=flight.limited)
        self._pump()
        self._on_acked()
