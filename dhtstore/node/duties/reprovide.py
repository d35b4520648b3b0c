"""Renew our provider records and contact record before they expire.

One unit at a time, in order, with a pause: a node that comes back announces what it holds
without a burst.  Due times live in memory: after a restart everything is announced again, since
nobody knows how long the node was away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from dhtstore.errors import DhtstoreError
from dhtstore.model.unit import Unit
from dhtstore.node.duties.kept import kept_units
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    REPROVIDE_INTERVAL_S,
    REPROVIDE_JITTER,
    REPROVIDE_PAUSE_S,
)

if TYPE_CHECKING:
    from dhtstore.node.node import Node


async def run(node: Node) -> None:
    """Forever: announce everything held, then sleep until the next round is due."""
    while True:
        await node.joined.wait()
        started_s = node.ports.clock.monotonic_s()
        await announce_all(node)
        jitter = 1 - REPROVIDE_JITTER * node.ports.entropy.rng.random()
        spent_s = node.ports.clock.monotonic_s() - started_s
        await asyncio.sleep(max(REPROVIDE_PAUSE_S, REPROVIDE_INTERVAL_S * jitter - spent_s))


async def announce_all(node: Node) -> int:
    """Store the contact record and one provider record a unit; how many units were announced.

    A unit that no index node takes now is tried again in the next round; the trace says so.
    """
    await _try(node, "contact", node.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S))
    announced = 0
    for unit in await node.ports.blocking.run(kept_units, node):
        announced += await _announce(node, unit)
        await asyncio.sleep(REPROVIDE_PAUSE_S)
    return announced


async def _announce(node: Node, unit: Unit) -> bool:
    records = [(node.identity.provider_record(unit.key), node.identity.record())]
    provide = node.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
    return await _try(node, unit.name.hex(), provide)


async def _try(node: Node, what: str, work: Coroutine[Any, Any, int]) -> bool:
    try:
        return await work > 0
    except DhtstoreError as error:
        node.ports.tracer("reprovide.failed", what=what, error=str(error))
        return False
