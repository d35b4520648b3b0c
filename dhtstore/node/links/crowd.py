"""Who gives way when a node has as many links as it may.

An origin (the /24 or /48 of a link's far end) is what one operator is usually given.  Addresses
cost something where keys cost nothing: so each origin has a share, under contention only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from dhtstore.net.accepting import Rations
from dhtstore.net.ports import Clock
from dhtstore.params import (
    FRAMES_AT_ONCE,
    FRAMES_AT_ONCE_PER_ORIGIN,
    FRAMES_IN_A_TURN,
    FRAMES_PER_S,
    FRAMES_PER_S_PER_ORIGIN,
    IDLE_CONNECTION_TIMEOUT_S,
    IDLE_CROSSING_S,
)


class CrowdedLink(Protocol):
    """As much of a link as matters here."""

    @property
    def origin(self) -> str: ...

    @property
    def busy(self) -> bool: ...

    @property
    def idle_since_s(self) -> float: ...

    @property
    def rate(self) -> float: ...

    @property
    def alive(self) -> bool: ...

    def abandon(self, why: str = ...) -> None: ...


M = TypeVar("M", bound=CrowdedLink)


def longest_idle(links: Iterable[M]) -> M | None:
    """None if all are busy."""
    idle = [link for link in links if not link.busy]
    return min(idle, key=lambda link: link.idle_since_s, default=None)


def usable(link: M | None, now_s: float) -> M | None:
    """The link, if something may still be asked over it.  One that is about to end as idle is ended
    now: what is asked would cross the other side's end of it."""
    if link is None or not link.alive:
        return None
    if link.busy or now_s - link.idle_since_s < IDLE_CONNECTION_TIMEOUT_S - IDLE_CROSSING_S:
        return link
    link.abandon()
    return None


def giving_way(links: Sequence[M], newcomer: str) -> M | None:
    """Which of ``links``, all of those that others opened, ends for one of the origin ``newcomer``;
    None if the newcomer has to go.

    It is of the most crowded origin: its longest idle one, else the busy one that brought least
    lately.  An origin that would then be the most crowded itself gets no place but that of an idle
    link of its own, or of one that is no less crowded than it would be.
    """
    counts = Counter(link.origin for link in links)
    most, own = max(counts.values(), default=0), counts[newcomer]
    if own + 1 < most:
        crowd = [link for link in links if counts[link.origin] == most]
        return longest_idle(crowd) or min(crowd, key=lambda link: link.rate)
    return longest_idle(
        link for link in links if link.origin == newcomer or counts[link.origin] > own
    )


class Attention:
    """How many frames that nobody here asked for are read: small ones come by the ten thousand a
    second, and each costs the event loop as much as a large one."""

    def __init__(self, now_s: float) -> None:
        each = (FRAMES_AT_ONCE_PER_ORIGIN, FRAMES_PER_S_PER_ORIGIN)
        self._rations = Rations(each, (FRAMES_AT_ONCE, FRAMES_PER_S), now_s)

    def pause_s(self, origin: str, now_s: float) -> float:
        """One has come from there: how long to read nothing of its link."""
        pause_s = self._rations.wait_s(origin, now_s)
        self._rations.take(origin)
        return pause_s


class Attendance:
    """That of one link's reader."""

    def __init__(self, attention: Attention, origin: str, clock: Clock) -> None:
        self._attention, self._origin, self._clock = attention, origin, clock
        self._in_turn = 0

    async def frame_came(self) -> None:
        """The peer wants something: not more than its share, and others have a turn."""
        self._in_turn += 1
        pause_s = self._attention.pause_s(self._origin, self._clock.monotonic_s())
        if pause_s or self._in_turn >= FRAMES_IN_A_TURN:
            self._in_turn = 0
            await asyncio.sleep(pause_s)
