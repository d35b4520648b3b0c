"""What a node has in its hands, counted without knowing what there could be.

All objects that can be reached from a node, by class: whatever an attack leaves behind is among
them.  Kept on purpose, within bounds of their own, are records of others and entries of the routing
table; their rooms are left out.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from types import FunctionType, ModuleType
from typing import Any, Final

from dhtstore.node.node import Node
from dhtstore.params import NEWCOMERS_DIVISOR

# Not followed: the world, which knows the strangers too, and tables that are bounded by themselves.
BEYOND: Final = (
    "simulations.",
    "tests.",
    "benchmarks.",
    "dhtstore.dht.core.",
    "dhtstore.model.",
    "dhtstore.net.accepting",
    "dhtstore.store.ledger.charging.",
)


def hands(node: Node) -> Counter[str]:
    """How many there are of each class of ours, and of tasks, that ``node`` leads to."""
    gc.collect()
    found: Counter[str] = Counter()
    namespaces = {id(vars(module)) for module in [*sys.modules.values()]}
    seen, waiting = {id(node)}, [node]
    while waiting:
        thing = waiting.pop()
        kind = type(thing)
        if kind.__module__.startswith(("dhtstore.", "_asyncio", "asyncio.")):
            found[kind.__name__] += 1
        for other in _referents(thing):
            if id(other) not in seen and id(other) not in namespaces and _ours(other):
                seen.add(id(other))
                waiting.append(other)
    return found


def _referents(thing: Any) -> list[Any]:
    if isinstance(thing, FunctionType):  # its globals are those of a module
        return [*(thing.__closure__ or ()), *(thing.__defaults__ or ())]
    return gc.get_referents(thing)


def _ours(thing: Any) -> bool:
    if isinstance(thing, type | ModuleType):
        return False
    return not type(thing).__module__.startswith(BEYOND)


def slots(node: Node) -> dict[str, int]:
    """What strangers share: links, work, rooms to read, offers."""
    return {
        "links": len(node.links.open_links()),
        "work": len(node.supervisor),
        "duties": len(node.duties),
        "promises": len(node.holder.offers.promises),
        "read rooms": len(node.blocks._room._active) + len(node.blocks._room._parked),
    }


def more_than(before: Counter[str], after: Counter[str], *, tolerated: int = 2) -> dict[str, int]:
    """What there is more of; a few of a kind come and go with what honest users do."""
    return {
        name: count - before[name]
        for name, count in after.items()
        if count > before[name] + tolerated
    }


def claims_of_others(node: Node, owner: bytes) -> int:
    """What claims of all owners but one account for, in bytes."""
    kept = node.ledger.claims.units_kept(node.ports.clock.unix_s())
    return sum(claim.charged_bytes for claim in kept if claim.policy.owner != owner)


def strangers_share(node: Node) -> int:
    """What all owners that are new here may take together, in bytes."""
    return node.settings.capacity_bytes // NEWCOMERS_DIVISOR
