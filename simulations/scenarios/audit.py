"""Is rot that no disk notices found by the other holders of a unit, and what do their audits cost?

A block of 256 bytes stands for one of 1 MiB, so an object of 1,024 blocks for 1 GiB: what audits
send does not depend on the size of blocks, and how much is read is a share of the bytes that are
stored, the blocks that list others included: beside such small ones these are a sixth of a copy.
Nothing is repaired, so that nothing else moves.  Of every second object the share ``rotten`` of the
blocks rots at one holder, of each other object a single block, which is found as often as not: that
holds the formula of ``replication.auditing.undetected`` to what happens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import partial

from dhtstore.content.builders.importer import UNIXFS_V1_2025
from dhtstore.content.dag.local import Leaves, unit_blocks
from dhtstore.model.cid import RAW, Cid
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.importing.manner import Manner
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import unwatched
from dhtstore.params import DAY_S
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.health.holders import HolderRows
from simulations.events.users import once
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.nodes.warm_start import start_known
from simulations.results.measure import Measure
from simulations.results.run_data import RunData
from simulations.settings import integer, share

_BLOCK_BYTES = 256
_ROTS_S = 2 * DAY_S  # after the disks have verified all blocks themselves; they do again on day 27
_LOOK_S = 6 * 3600.0
_FOR_S = 30 * DAY_S


@dataclass(frozen=True, slots=True)
class Parameters:
    """``blocks`` of each object."""

    objects: int = integer(48, 1, 10_000)
    blocks: int = integer(1024, 2, 1024)
    rotten: float = share("1 %")


@dataclass(slots=True)
class _Watch:
    """``rotten`` are objects of which nobody has found yet what rotted at that holder, and the
    metric that tells whether somebody did."""

    world: World
    rotten: dict[Cid, tuple[Member, str]] = field(default_factory=dict)
    copies: int = 0
    stored_bytes: int = 0

    def found(self, root: Cid, bad: Member) -> bool:
        """Whether an audit of one of the other holders failed there."""
        key = bad.crypto.node.public_key
        rows = (
            HolderRows(one.disk.tables).get((root.raw, False))
            for one in self.world.population.members
            if one is not bad
        )
        return any(each.key == key and each.lacks for row in rows for each in row.holders)

    def look(self) -> None:
        for root, (bad, metric) in list(self.rotten.items()):
            if self.found(root, bad):
                self.world.sample(metric, "", 1.0)
                del self.rotten[root]

    def end(self) -> None:
        for _, metric in self.rotten.values():
            self.world.sample(metric, "", 0.0)

    def streamed_bytes(self) -> int:
        network, members = self.world.network, self.world.population.members
        return sum(network.machine(one.address).streamed_bytes for one in members)

    def read_bytes(self) -> int:
        """By those that were audited; auditors have read as much of their own."""
        return sum(one.running.audits.read_bytes for one in self.world.population.members)


async def drive(world: World, parameters: Parameters, seed: int) -> None:
    rng, watch = random.Random(seed), _Watch(world)
    await _repair_nothing(world)
    roots = [await _put(world, parameters.blocks, rng) for _ in range(parameters.objects)]
    await world.until(_ROTS_S)
    for number, root in enumerate(roots):
        _rot(watch, root, parameters.rotten if number % 2 else 0.0, rng)
    before = watch.streamed_bytes(), watch.read_bytes()
    for number in range(1, int(_FOR_S / _LOOK_S)):
        await world.until(_ROTS_S + number * _LOOK_S)
        watch.look()
        _cost(watch, number * _LOOK_S / DAY_S, *before)
    watch.end()


async def _repair_nothing(world: World) -> None:
    for member in world.population.members:
        member.settings = replace(member.settings, repair_budget_bytes=0)
        world.population.crash(member.number)
        await start_known(world.population, member.number)


async def _put(world: World, blocks: int, rng: random.Random) -> Cid:
    data = rng.randbytes(blocks * _BLOCK_BYTES)
    member = rng.choice(world.population.up())
    world.users.journal.wanted_bytes += 3 * len(data)
    result = await world.population.run(member.number, _put_small_blocks(member.running, data))
    return result.cid


async def _put_small_blocks(node: Node, data: bytes) -> PutOutcome:
    manner = Manner(profile=replace(UNIXFS_V1_2025, chunk_size_bytes=_BLOCK_BYTES))
    return await node.uploader().put(
        once(data), name="bytes", replicas=3, min_acks=3, progress=unwatched, manner=manner
    )


def _rot(watch: _Watch, root: Cid, part: float, rng: random.Random) -> None:
    holders = [one for one in watch.world.population.members if one.disk.blocks.has(root)]
    bad = rng.choice(holders)
    [claim] = Claims(bad.disk.tables).kept(root.raw, bad.clock.unix_s())
    cids = list(unit_blocks(bad.disk.blocks, unit_of_claim(claim), Leaves.PRESENT))
    watch.stored_bytes += len(holders) * sum(len(bad.disk.blocks.get(cid)) for cid in cids)
    leaves = [cid for cid in cids if cid.codec == RAW]
    for cid in rng.sample(leaves, max(1, round(part * len(leaves)))):
        bad.disk.blocks.rot(cid)
        watch.world.damage.rotted(bad.number, cid.multihash, watch.world.loop.time())
    watch.copies += len(holders)
    watch.rotten[root] = bad, "found_many" if part else "found_one"


def _cost(watch: _Watch, days: float, streamed_bytes: int, read_bytes: int) -> None:
    streamed_kib = (watch.streamed_bytes() - streamed_bytes) / 1024
    read_share = 2 * (watch.read_bytes() - read_bytes) / watch.stored_bytes
    watch.world.sample("kib_per_unit_30_days", "", streamed_kib / watch.copies * 30 / days)
    watch.world.sample("read_share_per_day", "", read_share / days)


def _last(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return values[-1] if values else None


def _mean(metric: str, run: RunData) -> float | None:
    values = [sample.value for sample in run.metric(metric)]
    return sum(values) / len(values) if values else None


MEASURES = (
    Measure("found_of_many_blocks", partial(_mean, "found_many"), better="more"),
    Measure("found_of_one_block", partial(_mean, "found_one")),
    Measure("network_kib_per_gib_month", partial(_last, "kib_per_unit_30_days"), better="less"),
    Measure("read_of_stored_per_day", partial(_last, "read_share_per_day"), better="less"),
)
