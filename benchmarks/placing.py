"""What ranking by presence and room is worth: the plan alone, no node.

`python -m benchmarks.placing`: machines with the sessions and absences of IPFS (Weibull, shape
0.518, scale 1.93 h), some of them always on, are watched as a node watches them; then units are
placed at those that are up.  Told is for which share of the time their holders are there, how often
nobody of three is, and how many units the average machine of each kind has.  "By distance" is the
same without merits.
"""

from __future__ import annotations

import bisect
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Final

from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, distance
from dhtstore.params import GIB, PRESENCE_LOOK_S, K
from dhtstore.replication.presence import Presence
from dhtstore.replication.ranking import Candidate, Merit, nearest

_SHAPE: Final = 0.518
_SCALE_S: Final = 1.93 * 3600
_STEADY_SHARE: Final = 0.3
_DAY_S: Final = 86_400.0


@dataclass(slots=True)
class Machine:
    """``changes`` are when it goes and comes; it is up before the first of them if ``first``."""

    contact: Contact
    steady: bool
    room_bytes: int
    first: bool = True
    changes: list[float] = field(default_factory=list)

    def up(self, at_s: float) -> bool:
        odd = bisect.bisect(self.changes, at_s) % 2
        return self.first != bool(odd)


def machines(count: int, rng: random.Random, days: float) -> list[Machine]:
    """``count`` of them; each tenth has four times the room."""
    found = []
    for number in range(count):
        key = PublicKey(rng.randbytes(32))
        contact = Contact.of(
            key, Address(f"10.{number // 250}.{number % 250}.1", 7400), storage=True
        )
        steady, room_bytes = rng.random() < _STEADY_SHARE, GIB * (4 if number % 10 == 0 else 1)
        one = Machine(contact, steady, room_bytes, first=steady or rng.random() < 0.5)
        at_s = 0.0 if steady else rng.weibullvariate(_SCALE_S, _SHAPE) * rng.random()
        while not steady and at_s < days * _DAY_S:
            one.changes.append(at_s)
            at_s += rng.weibullvariate(_SCALE_S, _SHAPE)
        found.append(one)
    return found


def merits(world: Sequence[Machine], until_s: float) -> dict[NodeId, Merit]:
    """As a node knows them that watched until then."""
    seen: dict[NodeId, Presence] = {}
    at_s = 0.0
    while at_s <= until_s:
        for one in world:
            if one.up(at_s):
                before = seen.get(one.contact.node)
                seen[one.contact.node] = before.heard(at_s) if before else Presence(at_s)
        at_s += PRESENCE_LOOK_S
    return {
        one.contact.node: Merit(seen.get(one.contact.node, Presence(until_s)), one.room_bytes)
        for one in world
    }


@dataclass(slots=True)
class Placed:
    """``holders`` of each unit."""

    holders: list[list[Machine]] = field(default_factory=list)

    def there(self, rng: random.Random, from_s: float, to_s: float) -> tuple[float, float]:
        """For which share of the time holders are there, and how often none of a unit's is."""
        shares, none = [], 0
        for of_unit in self.holders:
            up = [one.up(rng.uniform(from_s, to_s)) for one in of_unit]
            at_s = rng.uniform(from_s, to_s)
            none += not any(one.up(at_s) for one in of_unit)
            shares.append(fmean(up))
        return fmean(shares), none / len(self.holders)

    def units(self, chosen: Sequence[Machine]) -> float:
        """Of one of these, on average."""
        counts = Counter(one.contact.node for of_unit in self.holders for one in of_unit)
        return fmean(counts[one.contact.node] for one in chosen) if chosen else 0.0


def place(
    world: Sequence[Machine],
    known: dict[NodeId, Merit],
    rng: random.Random,
    at_s: float,
    units: int,
    copies: int = 3,
) -> Placed:
    """Units at random keys, on machines that are up."""
    placed, up = Placed(), [one for one in world if one.up(at_s)]
    by_node = {one.contact.node: one for one in world}
    for _ in range(units):
        key = DhtKey(rng.randbytes(20))
        close = sorted(up, key=lambda one: distance(one.contact.node, key))[:K]
        candidates = [
            Candidate(one.contact, merit=known.get(one.contact.node, Merit())) for one in close
        ]
        placed.holders.append([by_node[one.node] for one in nearest(candidates, key)[:copies]])
    return placed


def main(count: int = 200, units: int = 4000, watched_days: float = 2.0) -> None:
    """Print the table."""
    rng = random.Random(1)
    at_s = watched_days * _DAY_S
    world = machines(count, rng, watched_days + 8)
    known = merits(world, at_s)
    newcomer = replace(Merit(), room_bytes=GIB)
    steady = [one for one in world if one.steady]
    for one in (new := steady[: count // 20]):
        known[one.contact.node] = replace(newcomer, room_bytes=one.room_bytes)
    old = [one for one in steady if one not in new]
    print("way           there  none up  units of: steady  newcomer  others  4x room")
    blank: dict[NodeId, Merit] = {}
    for way, ranked in (("by distance", blank), ("by merit", known)):
        placed = place(world, ranked, random.Random(2), at_s, units)
        there, none = placed.there(random.Random(3), at_s, at_s + 7 * _DAY_S)
        others = [one for one in world if not one.steady]
        large = [one for one in old if one.room_bytes > GIB]
        parts = [placed.units(group) for group in (old, new, others, large)]
        told = "".join(f"{part:10.1f}" for part in parts)
        print(f"{way:12} {there:6.1%} {none:8.2%}    {told}")


if __name__ == "__main__":
    main()
