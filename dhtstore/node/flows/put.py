"""Put: a source becomes a CID with R verified copies.

data path: source -> blocks in the store -> units -> own copy -> copies on peers -> receipts ->
provider records -> pin => CID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.content.build.importer import UNIXFS_V1_2025
from dhtstore.errors import QuorumNotReached, Unreachable, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import NodeId
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import sign
from dhtstore.model.unit import Unit
from dhtstore.node.copies.own_copy import local_units, own_copy
from dhtstore.node.copies.place import Placement, place_on_peers, publish
from dhtstore.node.flows.progress import Progress, ProgressSink
from dhtstore.node.importing.files import Import, Source
from dhtstore.node.importing.tree import Imported
from dhtstore.params import REPLICAS_MAX
from dhtstore.replication.placement import default_min_acks, subnet
from dhtstore.store.files.source import FileSource
from dhtstore.store.ledger.puts import PutRecord

if TYPE_CHECKING:
    from dhtstore.node.node import Node


@dataclass(frozen=True, slots=True)
class PutResult:
    """``copies`` is the smallest number of receipts over the units; ``causes`` says, per node
    and its last reason, why there are not more."""

    cid: Cid
    size_bytes: int
    replicas: int
    min_acks: int
    copies: int
    receipts: Sequence[Receipt]
    causes: Mapping[str, str]


async def put(
    node: Node,
    source: Source,
    *,
    name: str,
    replicas: int | None,
    min_acks: int | None,
    progress: ProgressSink,
) -> PutResult:
    """Store ``source`` with the given policy (defaults: the node's settings).

    Raises UsageError (counts that cannot be), UnreadableSource, SourceChanged, NoRoom (nothing
    was announced), QuorumNotReached with the PutResult as ``partial`` when fewer than
    ``min_acks`` copies have receipts, and Unreachable when nobody could be told of them.
    """
    wanted = replicas or node.settings.replicas
    _check_counts(wanted, min_acks)
    async with node.staging:
        imported = await _import(node, source, progress)
        policy = await node.ports.blocking.run(_policy, node, imported.cid, wanted)
        units = await node.ports.blocking.run(local_units, node.ports.store, imported.cid)
        placements = await _place_all(node, imported, units, policy, progress)
        await node.ports.blocking.run(_remember, node, imported, name, policy, placements)
    acks = _min_acks(node, wanted, min_acks)
    result = _result(imported, placements, wanted, acks)
    if result.copies < acks:
        raise _quorum_not_reached(result)
    if not all(placement.announced or not placement.copies for placement in placements):
        raise Unreachable(
            f"{imported.cid} has {result.copies} copies, but no node took the records by which"
            " others find them: put it again"
        )
    return result


def _check_counts(wanted: int, min_acks: int | None) -> None:
    if not 1 <= wanted <= REPLICAS_MAX:
        raise UsageError(f"{wanted} replicas is outside 1 to {REPLICAS_MAX}")
    if min_acks is not None and not 0 <= min_acks <= wanted:
        raise UsageError(f"--min-acks {min_acks} can't be had from {wanted} replicas")


def live_storage_nodes(node: Node) -> int:
    """Storage nodes known to be alive, this one included."""
    known = sum(contact.storage for contact in node.dht.contacts())
    return known + int(node.settings.storage)


def _min_acks(node: Node, wanted: int, asked: int | None) -> int:
    if asked is not None:
        return asked
    if node.settings.min_acks is not None:
        return min(node.settings.min_acks, wanted)
    return default_min_acks(wanted, live_storage_nodes(node))


async def _import(node: Node, source: Source, progress: ProgressSink) -> Imported:
    total = source.size_bytes if isinstance(source, FileSource) else None
    work = Import(
        node.disk,
        UNIXFS_V1_2025,
        lambda done: progress(Progress("reading", done, total)),
    )
    return await work.run(source)


def _policy(node: Node, root: Cid, replicas: int) -> Policy:
    """A newer policy than any this owner is known to have signed for this root."""
    owner = node.ports.crypto.owner
    known = [record.policy for record in [node.puts.get(root)] if record]
    known += [p for p in [node.claims.policy(owner.public_key, root.raw)] if p]
    unsigned = Policy(
        owner=owner.public_key,
        root=root.raw,
        sequence=max([int(node.ports.clock.unix_s()), *(p.sequence + 1 for p in known)]),
        replicas=replicas,
        expires=0,
        removed=False,
    )
    return sign(unsigned, node.settings.network, owner)


async def _place_all(
    node: Node,
    imported: Imported,
    units: Sequence[Unit],
    policy: Policy,
    progress: ProgressSink,
) -> list[Placement]:
    """One unit after the other: bounds what holders must reserve at once."""
    meter = _CopyMeter(progress, imported.size_bytes * (policy.replicas - node.settings.storage))
    placements = []
    for unit in units:
        placement = Placement(unit)
        if node.settings.storage:
            placement.add(await own_copy(node, unit, policy), _own_domain(node))
        await place_on_peers(node, placement, policy, policy.replicas, meter.advance)
        if placement.copies:
            placement.announced = await publish(node, unit, placement.copies) > 0
        meter.unit_done()
        placements.append(placement)
    return placements


def _own_domain(node: Node) -> str:
    """The failure domain of our own copy, as that of a candidate is told."""
    return node.settings.domain or subnet(node.addresses()[0])


class _CopyMeter:
    """Adds up what the holders of the current unit report."""

    def __init__(self, sink: ProgressSink, total_bytes: int) -> None:
        self._sink, self._total_bytes = sink, total_bytes
        self._before_bytes = 0
        self._held: dict[NodeId, int] = {}

    def advance(self, holder: NodeId, held_bytes: int) -> None:
        self._held[holder] = held_bytes
        done = self._before_bytes + sum(self._held.values())
        self._sink(Progress("copying", done, self._total_bytes, len(self._held)))

    def unit_done(self) -> None:
        self._before_bytes += sum(self._held.values())
        self._held.clear()


def _remember(
    node: Node, imported: Imported, name: str, policy: Policy, placements: Sequence[Placement]
) -> None:
    node.puts.save(
        PutRecord(
            name=name,
            root=imported.cid.raw,
            size_bytes=imported.size_bytes,
            created_unix_s=node.ports.clock.unix_s(),
            policy=policy,
            units=len(placements),
        )
    )
    node.receipts.save(copy.receipt for p in placements for copy in p.copies)
    if node.settings.storage:
        node.pins.add(imported.cid, name, "put")


def _result(
    imported: Imported, placements: Sequence[Placement], wanted: int, acks: int
) -> PutResult:
    return PutResult(
        cid=imported.cid,
        size_bytes=imported.size_bytes,
        replicas=wanted,
        min_acks=acks,
        copies=min(len(placement.copies) for placement in placements),
        receipts=[copy.receipt for placement in placements for copy in placement.copies],
        causes={node: why for placement in placements for node, why in placement.causes.items()},
    )


def _quorum_not_reached(result: PutResult) -> QuorumNotReached:
    causes = "; ".join(f"{node[:12]}: {why}" for node, why in result.causes.items())
    why = causes or "no other storage node was found"
    return QuorumNotReached(
        f"{result.copies} of {result.replicas} copies, fewer than --min-acks {result.min_acks}"
        f" ({why})",
        copies=result.copies,
        wanted=result.replicas,
        min_acks=result.min_acks,
        partial=result,
    )
