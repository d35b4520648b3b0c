"""Who gives way when a node has as many links as it may.

An origin (the /24 or /48 of a link's far end) is what one operator is usually given.  Addresses
cost something where keys cost nothing: so each origin has a share, under contention only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


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


M = TypeVar("M", bound=CrowdedLink)


def longest_idle(links: Iterable[M]) -> M | None:
    """None if all are busy."""
    idle = [link for link in links if not link.busy]
    return min(idle, key=lambda link: link.idle_since_s, default=None)


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
