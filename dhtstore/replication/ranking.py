"""Which candidates are best: copies are spread over failure domains first, then by distance.

A failure domain is an operator's label, else the subnet.  Distance to the key breaks ties, so
that any uploader of the same unit tends to choose the same holders.  Data never moves merely
because a closer node joined: provider records make any choice findable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A storage node that could hold a copy, and what became of that.

    ``label`` is its operator's failure domain; ``why`` tells why it holds none, where it was
    asked; ``copied_bytes`` is what it has said to have of the unit.
    """

    contact: Contact
    label: str = ""
    stage: Stage = Stage.FOUND
    why: str = ""
    copied_bytes: int = 0

    @property
    def node(self) -> NodeId:
        return self.contact.node

    @property
    def domain(self) -> str:
        return self.label or subnet(self.contact.address)


def rank(
    candidates: Iterable[Candidate], key: DhtKey, taken_domains: Sequence[str] = ()
) -> list[Candidate]:
    """All candidates, best first: each next one from the domain used least so far.

    ``taken_domains`` are the domains that hold a copy already, repeated per copy.
    """
    nearest = sorted(candidates, key=lambda c: distance(c.node, key))
    waiting = [(candidate.domain, candidate) for candidate in nearest]
    used = Counter(taken_domains)
    ranked: list[Candidate] = []
    while waiting:
        best = min(waiting, key=lambda each: used[each[0]])  # the first of equals: the nearest
        waiting.remove(best)
        used[best[0]] += 1
        ranked.append(best[1])
    return ranked
