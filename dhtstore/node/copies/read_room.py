"""A bound on the blocks that are read for peers and have not left yet."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from dhtstore.params import SERVED_PATIENCE_S, SERVED_READS_MAX, SERVED_TURN_MAX_S


class Reader(Protocol):
    """As much of a link as matters here."""

    @property
    def origin(self) -> str: ...

    @property
    def stalled_s(self) -> float: ...

    @property
    def rate(self) -> float: ...

    def abandon(self, why: str = ...) -> None: ...


class Share:
    """Room for one read, from when it is entered until it was left and each frame that was made
    of the read has left too, or never will."""

    __slots__ = ("_give_back", "_holders")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back, self._holders = give_back, 0

    def __enter__(self) -> Share:
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def hold(self) -> None:
        """Keep it until one more ``release``."""
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._give_back()


class ReadRoom:
    """Memory for SERVED_READS_MAX reads.  Origins that wait for one take turns, whoever came first
    and however many of each there are.

    While somebody waits, peers that read nothing for SERVED_PATIENCE_S lose their link: else a few
    of them would shut the node off for all.  When an origin has waited for SERVED_TURN_MAX_S, one
    that holds more than its share loses its slowest link.
    """

    def __init__(self) -> None:
        self._free = SERVED_READS_MAX
        self._held: dict[Reader, int] = {}
        self._turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._since_s: dict[str, float] = {}  # those that wait, since they had a turn
        self._look: asyncio.TimerHandle | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self._turns)

    async def take(self, reader: Reader) -> Share:
        """Room for one read, when there is some; to be entered at once."""
        if self._free:
            self._free -= 1
        else:
            await self._turn_of(reader.origin)
        self._held[reader] = self._held.get(reader, 0) + 1
        return Share(partial(self._give_back, reader))

    def _give_back(self, reader: Reader) -> None:
        self._held[reader] -= 1
        if not self._held[reader]:
            del self._held[reader]
        self._pass_on()

    # --- turns ------------------------------------------------------------------------------

    async def _turn_of(self, origin: str) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.setdefault(origin, deque()).append(turn)
        self._since_s.setdefault(origin, loop.time())
        self._look_later()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waits_no_more(origin, turn)
            else:
                self._pass_on()  # it had been given the room already
            raise

    def _pass_on(self) -> None:
        """A read has left: its room is for the next origin, which then waits behind all others."""
        if not self._turns:
            self._free += 1
            return
        origin, waiting = next(iter(self._turns.items()))
        turn = waiting[0]
        self._turns.move_to_end(origin)
        self._since_s[origin] = asyncio.get_running_loop().time()
        self._waits_no_more(origin, turn)
        turn.set_result(None)

    def _waits_no_more(self, origin: str, turn: asyncio.Future[None]) -> None:
        waiting = self._turns[origin]
        waiting.remove(turn)
        if not waiting:
            del self._turns[origin], self._since_s[origin]

    # --- those that keep others waiting -----------------------------------------------------

    def _look_later(self) -> None:
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(SERVED_PATIENCE_S / 3, self._look_at_readers)

    def _look_at_readers(self) -> None:
        self._look = None
        if not self._turns:
            return
        for reader in list(self._held):
            if reader.stalled_s >= SERVED_PATIENCE_S:
                reader.abandon("the peer reads nothing while others wait")
        waited_s = asyncio.get_running_loop().time() - min(self._since_s.values(), default=0.0)
        if self._turns and waited_s >= SERVED_TURN_MAX_S:
            self._end_slowest()
        if self._turns:
            self._look_later()

    def _end_slowest(self) -> None:
        """Of the origin that holds most, if that is more than its share."""
        reads = Counter[str]()
        for reader, count in self._held.items():
            reads[reader.origin] += count
        crowd, most = reads.most_common(1)[0]
        if most > max(1.0, SERVED_READS_MAX / len(reads.keys() | self._turns.keys())):
            readers = [reader for reader in self._held if reader.origin == crowd]
            slowest = min(readers, key=lambda reader: reader.rate)
            slowest.abandon("the peer reads slowly while others wait")
