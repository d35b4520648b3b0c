"""pin: keep a root here for its own sake.

data path: root -> units -> blocks fetched and fsynced -> pin -> provider records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.errors import NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.node.copies.receive import receive_unit
from dhtstore.node.fetching.holders import DhtSources
from dhtstore.node.flows.progress import Progress, ProgressSink
from dhtstore.node.flows.root_units import root_units
from dhtstore.params import LOOKUP_TIMEOUT_S

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class PinRow:
    """``kind`` is "put" for what a put keeps and "user" for what was pinned by hand."""

    cid: str
    kind: str
    name: str


async def pin_add(node: Node, root: Cid, name: str, progress: ProgressSink) -> PinRow:
    """Bring all of it into the store, pin it and announce it.

    Raises NoRoom and what ``fetch`` raises; what came before is picked up by the next try.
    """
    async with node.staging:
        units = await root_units(node, root)
        total = sum(unit.size_bytes for unit in units)
        done = 0
        for unit in units:
            done += await _bring(node, unit, done, total, progress)
        await node.ports.blocking.run(node.pins.add, root, name, "user")
    for unit in units:
        await _announce(node, unit)
    return PinRow(str(root), "user", name)


async def pin_rm(node: Node, root: Cid) -> PinRow:
    """Raises NotHere if it was not pinned by hand.  Pins of puts stay."""
    if not await node.ports.blocking.run(node.pins.remove, root, "user"):
        raise NotHere(f"{root} is not pinned by hand here")
    return PinRow(str(root), "user", "")


async def pin_ls(node: Node) -> list[PinRow]:
    """By CID."""
    pins = await node.ports.blocking.run(node.pins.list)
    return [PinRow(str(pin.cid), pin.kind, pin.name) for pin in pins]


async def _bring(
    node: Node, unit: Unit, before_bytes: int, total_bytes: int, progress: ProgressSink
) -> int:
    def advance(done_bytes: int) -> None:
        progress(Progress("fetching", before_bytes + done_bytes, total_bytes))

    totals = await receive_unit(node, unit, DhtSources(node), progress=advance)
    return totals.size_bytes


async def _announce(node: Node, unit: Unit) -> None:
    records = [(node.identity.provider_record(unit.key), node.identity.record())]
    await node.dht.provide(unit.key, records, timeout_s=LOOKUP_TIMEOUT_S)
