"""Where copies go: pure ranking of candidates and what a put still needs.

A candidate is a live storage node among the closest to the unit's key.  Copies are spread over
failure domains first (an operator's label, else the subnet); distance to the key breaks ties,
so that any uploader of the same unit tends to choose the same holders.  Data never moves merely
because a closer node joined: provider records make any choice findable.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import DhtKey, distance
from dhtstore.params import MIN_ACKS_DEFAULT

_SUBNET_BITS = {4: 24, 6: 48}  # what one operator is usually given


@dataclass(frozen=True, slots=True)
class Candidate:
    """A storage node that could hold a copy; ``label`` is its operator's failure domain."""

    contact: Contact
    label: str = ""

    @property
    def domain(self) -> str:
        return self.label or subnet(self.contact.address)


def subnet(address: Address) -> str:
    """The /24 (IPv4) or /48 (IPv6) an address is in, as text."""
    ip = ipaddress.ip_address(address.host)
    return str(ipaddress.ip_network((ip, _SUBNET_BITS[ip.version]), strict=False))


def rank(
    candidates: Iterable[Candidate], key: DhtKey, taken_domains: Sequence[str] = ()
) -> list[Candidate]:
    """All candidates, best first: each next one from the domain used least so far.

    ``taken_domains`` are the domains that hold a copy already, repeated per copy.
    """
    waiting = sorted(candidates, key=lambda c: distance(c.contact.node, key))
    used = Counter(taken_domains)
    ranked: list[Candidate] = []
    while waiting:
        best = min(waiting, key=lambda c: used[c.domain])  # min is stable: distance breaks ties
        waiting.remove(best)
        used[best.domain] += 1
        ranked.append(best)
    return ranked


def default_min_acks(replicas: int, live_storage_nodes: int) -> int:
    """The smallest of 2, the replicas wanted and the live storage nodes known, at least 1."""
    return max(1, min(MIN_ACKS_DEFAULT, replicas, live_storage_nodes))
