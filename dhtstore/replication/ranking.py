"""Which candidates are best: copies are spread over failure domains first, then by distance.

A failure domain is a subnet, and within it or across it what its operator labels alike: labels
separate further, and never join.  Whoever runs many nodes at one address may give each a label of
its own; the address still counts.  Distance to the key breaks ties, so that any uploader of the
same unit tends to choose the same holders.  Data never moves merely because a closer node joined:
provider records make any choice findable.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from dhtstore.model.contact import Contact, subnet
from dhtstore.model.identity import DhtKey, NodeId, distance


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
class Candidate:
    """A storage node that could hold a copy, and what became of that.

    ``label`` is its operator's failure domain; ``why`` tells why it holds none, where it was
    asked, ``code`` which refusal that was; ``copied_bytes`` is what it has said to have of the
    unit.
    """

    contact: Contact
    label: str = ""
    stage: Stage = Stage.FOUND
    why: str = ""
    copied_bytes: int = 0
    code: str = ""

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
) -> list[Candidate]:
    """The ``count`` best candidates, or all, best first: each next one shares its subnet and its
    label with the fewest that were taken before, and is the nearest of those.

    ``taken`` are the domains that hold a copy already, repeated per copy.
    """
    groups: dict[Domain, deque[Candidate]] = {}
    far: dict[NodeId, int] = {}
    for each in sorted(candidates, key=lambda one: distance(one.node, key)):
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


def _shared(domain: Domain, used: Counter[tuple[str, str]]) -> int:
    """How often what it would share was used: 0 where it shares nothing."""
    return sum(used[name] for name in domain.names)
