"""In which order holders of one unit give it to each other, and who of them is too slow for that.
Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dhtstore.model.identity import NodeId
from dhtstore.params import RELAY_LAG_BYTES


@dataclass(frozen=True, slots=True)
class Membership:
    """A holder that may stand in a chain: how much of the unit it has already, in which subnet it
    is, and whether it says where others can reach it."""

    node: NodeId
    held_bytes: int
    origin: str
    reachable: bool


def in_order(places: Iterable[Membership]) -> list[NodeId]:
    """Who has most of it comes first, since that need not be sent again; who cannot be reached is
    the last, and those of one subnet stand together.  Else as they came."""
    given = list(places)
    first: dict[str, int] = {}
    for at, place in enumerate(given):
        first.setdefault(place.origin, at)
    ordered = sorted(given, key=lambda e: (not e.reachable, -e.held_bytes, first[e.origin]))
    return [place.node for place in ordered]


def falls_behind(
    before_bytes: int, now_bytes: int, lasted_s: float, ahead_bytes: int, ahead_s: float
) -> bool:
    """Whether a holder that had ``before_bytes``, ``lasted_s`` ago, is held up by the one before
    it, which has ``ahead_bytes`` after ``ahead_s``: far behind it, and half as fast."""
    if ahead_bytes - now_bytes < RELAY_LAG_BYTES or ahead_s <= 0:
        return False
    return (now_bytes - before_bytes) / lasted_s < ahead_bytes / ahead_s / 2
