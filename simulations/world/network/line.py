"""One direction of a machine's access line: a rate, and flows that share it fairly.

Packets are carried one after the other, each for as long as its bytes take at the rate, and the
line is never idle while one waits.  Flows take turns by bytes (deficit round robin: Shreedhar and
Varghese 1995), those that were idle first (FQ-CoDel: RFC 8290 section 4.2), so that a ping does
not wait for a transfer.  Where datagrams queue for longer than a second the fullest flow loses its
newest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.params import KIB

QUEUE_MAX_S = 1.0  # what a line's buffer holds of what may be dropped
QUEUE_MIN_BYTES = 16 * 1500  # and at least: slow lines have buffers, too
PIECE_MAX_BYTES = 64 * KIB  # of a stream, in one go: what segmentation offload hands to a line
PIECE_MIN_BYTES = 1460
_PIECE_S = 0.005  # at most for so long a piece keeps others waiting
Carried = Callable[[], None]


class Timers(Protocol):
    """The loop, as far as lines need it."""

    def time(self) -> float: ...

    def post(self, delay_s: float, callback: Callable[..., object], *args: object) -> None: ...


@dataclass(slots=True)
class _Packet:
    """``lost`` is None for what is never dropped here."""

    size_bytes: int
    after_s: float
    carried: Carried
    lost: Carried | None


@dataclass(slots=True)
class _Flow:
    key: object
    credit_bytes: int
    queue: deque[_Packet] = field(default_factory=deque)
    queued_bytes: int = 0


class Line:
    """``carried_bytes`` (what is being carried included), ``dropped_bytes`` and ``queued_bytes``
    make up what was offered.  The rate may change at any time, for what is carried next; None is
    no limit."""

    def __init__(self, loop: Timers, bytes_per_s: float | None) -> None:
        self._loop, self.bytes_per_s = loop, bytes_per_s
        self._flows: dict[object, _Flow] = {}
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._free_at_s = 0.0
        self._waking = False  # whether what is queued goes on at ``_free_at_s``
        self._droppable_bytes = 0
        self.carried_bytes = self.dropped_bytes = self.queued_bytes = 0

    @property
    def piece_bytes(self) -> int:
        """How much of a stream goes in one go."""
        if self.bytes_per_s is None:
            return PIECE_MAX_BYTES
        return max(PIECE_MIN_BYTES, min(PIECE_MAX_BYTES, int(self.bytes_per_s * _PIECE_S)))

    def carry(
        self,
        key: object,
        size_bytes: int,
        after_s: float,
        carried: Carried,
        lost: Carried | None = None,
    ) -> None:
        """Queue a packet of the flow ``key``; one of both is called, once, unless it is forgotten:
        ``carried`` that long after its last byte has passed, ``lost`` when the queue is too
        full."""
        if not self._waking and self._loop.time() >= self._free_at_s:
            self._pass(_Packet(size_bytes, after_s, carried, lost))
            return
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(key, self.piece_bytes)
            self._new.append(flow)
        flow.queue.append(_Packet(size_bytes, after_s, carried, lost))
        flow.queued_bytes += size_bytes
        self.queued_bytes += size_bytes
        if not self._waking:
            self._waking = True
            self._loop.post(self._free_at_s - self._loop.time(), self._wake)
        if lost is not None:
            self._droppable_bytes += size_bytes
            self._drop_excess()

    def forget(self, key: object) -> None:
        """Drop what that flow has queued, and tell nobody."""
        flow = self._flows.get(key)
        while flow is not None and flow.queue:
            self._take_newest(flow)

    def clear(self) -> None:
        """Drop everything that is queued: the machine has lost power."""
        for key in list(self._flows):
            self.forget(key)

    # --- whose turn it is -------------------------------------------------------------------

    def _wake(self) -> None:
        """The line is free; go on with what is next in turn."""
        packet = self._choose()
        if packet is not None:
            self.queued_bytes -= packet.size_bytes
            self._pass(packet)
        self._waking = packet is not None
        if self._waking:
            self._loop.post(self._free_at_s - self._loop.time(), self._wake)

    def _pass(self, packet: _Packet) -> None:
        now_s, rate = self._loop.time(), self.bytes_per_s
        self._free_at_s = now_s + (packet.size_bytes / rate if rate is not None else 0.0)
        self.carried_bytes += packet.size_bytes
        self._loop.post(self._free_at_s - now_s + packet.after_s, packet.carried)

    def _choose(self) -> _Packet | None:
        """The next packet in turn, taken out of its queue."""
        while self._new or self._old:
            turns = self._new or self._old
            flow = turns[0]
            if not flow.queue:
                turns.popleft()
                self._retire(flow, was_new=turns is self._new)
            elif flow.credit_bytes <= 0:
                flow.credit_bytes += self.piece_bytes
                turns.popleft()
                self._old.append(flow)
            else:
                return self._take_oldest(flow)
        return None

    def _take_oldest(self, flow: _Flow) -> _Packet:
        packet = flow.queue.popleft()
        flow.credit_bytes -= packet.size_bytes
        flow.queued_bytes -= packet.size_bytes
        if packet.lost is not None:
            self._droppable_bytes -= packet.size_bytes
        return packet

    def _retire(self, flow: _Flow, *, was_new: bool) -> None:
        """A flow that was new has one more turn among the old, so that it cannot stay ahead of
        them by emptying its queue (RFC 8290 section 4.2)."""
        if was_new:
            self._old.append(flow)
        else:
            del self._flows[flow.key]

    # --- too much ---------------------------------------------------------------------------

    def _drop_excess(self) -> None:
        limit_bytes = max(QUEUE_MIN_BYTES, (self.bytes_per_s or 0.0) * QUEUE_MAX_S)
        while self._droppable_bytes > limit_bytes:
            droppable = [flow for flow in self._flows.values() if _may_drop(flow)]
            lost = self._take_newest(max(droppable, key=_fullness))
            if lost is not None:
                lost()

    def _take_newest(self, flow: _Flow) -> Carried | None:
        packet = flow.queue.pop()
        flow.queued_bytes -= packet.size_bytes
        self.queued_bytes -= packet.size_bytes
        self.dropped_bytes += packet.size_bytes
        if packet.lost is not None:
            self._droppable_bytes -= packet.size_bytes
        return packet.lost


def _may_drop(flow: _Flow) -> bool:
    return bool(flow.queue) and flow.queue[-1].lost is not None


def _fullness(flow: _Flow) -> int:
    return flow.queued_bytes
