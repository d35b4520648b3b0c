"""Which candidates are best: copies are spread over failure domains first, then by distance, where
a node that is there more of the time, or has more room, counts as nearer.

A failure domain is a subnet, and within it or across it what its operator labels alike: labels
separate further, and never join.  Whoever runs many nodes at one address may give each a label of
its own; the address still counts.

The distance to the key is divided by a node's weight.  Keys are as good as random, so that is a
weighted draw for each unit: a node of twice the weight gets twice as many, nobody gets all, and any
uploader of the same unit tends to choose the same holders (weighted rendezvous hashing).  Being
there is what this node has seen itself.  Room is only the node's word: within a factor of what is
usual near the key it draws more, and who has none draws refusals.  Data never moves merely because
a closer node joined: provider records make any choice findable.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from dhtstore.config import counted, format_size
from dhtstore.model.contact import Contact, subnet
from dhtstore.model.identity import DhtKey, NodeId, distance
from dhtstore.params import PLACEMENT_STEADINESS, PRESENCE_GUESS, ROOM_RATIO_MAX
from dhtstore.replication.presence import Presence


class Stage(StrEnum):
    """How far a node came towards holding a copy."""

    FOUND = "found"  # by a lookup; not asked yet
    UNREACHED = "unreached"  # there is no connection to it
    REFUSED = "refused"  # it was offered the unit and did not take it
    RESERVED = "reserved"  # it has set room aside
    FAILED = "failed"  # it had reserved, but gave no receipt that can be believed
    HELD = "held"  # it signed for a whole copy


class Domain(NamedTuple):
    """Where a copy may be lost together with others: the subnet of the address at which a node was
    reached, and its operator's label ("" for none), which is only what the node says."""

    subnet: str
    label: str = ""

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """What it shares with others that have the same; no label passes for a subnet."""
        of_subnet = ("subnet", self.subnet)
        return (of_subnet, ("label", self.label)) if self.label else (of_subnet,)


@dataclass(frozen=True, slots=True)
class Merit:
    """What makes a node carry more than another: how it was seen to be there, and the room that it
    says to have, None if it said nothing.  A ``donor`` gives room to what is short of copies, as
    this unit is."""

    presence: Presence = field(default_factory=Presence)
    room_bytes: int | None = None
    donor: bool = False

    def __str__(self) -> str:
        """For people."""
        if self.room_bytes is None:
            return str(self.presence)
        if self.donor:
            return f"{self.presence}, gives room to what is short of copies"
        return f"{self.presence}, says it has room for {format_size(self.room_bytes)}"


UNKNOWN: Final = Merit()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A storage node that could hold a copy, and what became of that.

    ``label`` is its operator's failure domain; ``why`` tells why it holds none, where it was
    asked, ``code`` which refusal that was; ``copied_bytes`` is what it has said to have of the
    unit.  ``reason`` is why it was chosen, or passed over, for people.
    """

    contact: Contact
    label: str = ""
    stage: Stage = Stage.FOUND
    why: str = ""
    copied_bytes: int = 0
    code: str = ""
    merit: Merit = UNKNOWN
    reason: str = ""

    @property
    def node(self) -> NodeId:
        return self.contact.node

    @property
    def domain(self) -> Domain:
        return Domain(subnet(self.contact.address), self.label)


def rank(
    candidates: Iterable[Candidate],
    key: DhtKey,
    taken: Sequence[Domain] = (),
    count: int | None = None,
    steadiness: int = PLACEMENT_STEADINESS,
) -> list[Candidate]:
    """The ``count`` best candidates, or all, best first: each next one shares its subnet and its
    label with the fewest that were taken before, and is the nearest of those by ``nearest``.

    ``taken`` are the domains that hold a copy already, repeated per copy.
    """
    groups: dict[Domain, deque[Candidate]] = {}
    far: dict[NodeId, int] = {}
    for each in nearest(candidates, key, steadiness):
        groups.setdefault(each.domain, deque()).append(each)
        far[each.node] = len(far)  # its place in that order
    used = Counter(name for domain in taken for name in domain.names)
    ranked: list[Candidate] = []
    while groups and len(ranked) != count:
        best = min(groups, key=lambda each: (_shared(each, used), far[groups[each][0].node]))
        ranked.append(groups[best].popleft())
        used.update(best.names)
        if not groups[best]:
            del groups[best]
    return ranked


def nearest(
    candidates: Iterable[Candidate], key: DhtKey, steadiness: int = PLACEMENT_STEADINESS
) -> list[Candidate]:
    """By their distance to ``key``, each divided by its weight; donors first, unless they were seen
    to be away more than one of which nothing is known.  ``steadiness`` is how much it counts that
    a node is there: the power of its share of the time."""
    several = list(candidates)
    usual_bytes = _usual_bytes(several)

    def far(one: Candidate) -> tuple[bool, float]:
        first = one.merit.donor and one.merit.presence.share >= PRESENCE_GUESS
        return not first, distance(one.node, key) / weight(one.merit, usual_bytes, steadiness)

    return sorted(several, key=far)


def weight(merit: Merit, usual_bytes: int, steadiness: int = PLACEMENT_STEADINESS) -> float:
    """How much of what falls near it a node carries, beside others that say to have room for
    ``usual_bytes``.  A machine that is away half of the time is worth much less than half of one
    that is always there: what it holds is needed just when others are away, too."""
    steady: float = merit.presence.share**steadiness
    if merit.room_bytes is None or not usual_bytes:
        return steady
    return steady * min(max(merit.room_bytes / usual_bytes, 1 / ROOM_RATIO_MAX), ROOM_RATIO_MAX)


def _usual_bytes(candidates: Sequence[Candidate]) -> int:
    """The median of what they say: one of them moves it little, whatever it says."""
    rooms = sorted(one.merit.room_bytes for one in candidates if one.merit.room_bytes is not None)
    return rooms[len(rooms) // 2] if rooms else 0


def explained(ranked: Iterable[Candidate], taken: Sequence[Domain]) -> Iterator[Candidate]:
    """Each of ``ranked`` with the reason, where those before it are taken like ``taken``."""
    used = Counter(name for domain in taken for name in domain.names)
    for one in ranked:
        shared = _shared(one.domain, used)
        apart = f"apart from {counted(len(taken), 'other copy', 'other copies')}"
        near = f"its subnet or label has {counted(shared, 'copy', 'copies')}"
        yield replace(one, reason=f"{near if shared else apart}; {one.merit}")
        used.update(one.domain.names)
        taken = [*taken, one.domain]


def passed_over(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that were never asked, with the reason."""
    why = "not asked: enough others came before it"
    return [replace(one, reason=f"{why}; {one.merit}") for one in candidates]


def _shared(domain: Domain, used: Counter[tuple[str, str]]) -> int:
    """How often what it would share was used: 0 where it shares nothing."""
    return sum(used[name] for name in domain.names)
