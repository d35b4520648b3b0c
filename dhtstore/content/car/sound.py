"""Whether all of a DAG is here, and says of itself only what a get of it would believe: what is
asked before the roots of a CAR are pinned.

Who made the file chose every link and every size, so the work is bounded by its blocks: what lies
below one is looked at once, however many roots, units and paths lead there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from dhtstore.content.codec.unixfs import DagNode, Kind, read_node
from dhtstore.content.dag.children import Role, Task
from dhtstore.content.dag.dag_walk import DagWalk, root_task
from dhtstore.content.dag.local import BlocksHere, Leaves, cutting, unit_blocks
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.walk import Output
from dhtstore.errors import MalformedDag
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import (
    CAR_SEEN_MAX,
    SPINE_LINKS_AGAIN_MAX,
    STEP_LEAF_BYTES,
    UNIT_SIZE_MAX_BYTES,
    UNIT_SLACK_BYTES,
    UNIT_STORED_MAX_BYTES,
    UNIT_WANTS_MAX,
)

_WANTS_AT_ONCE: Final = 256
_WALKED_AGAIN: Final = 4  # times what the file has, of walks of units that overlap
_BESIDE_MAX_BYTES: Final = UNIT_STORED_MAX_BYTES - UNIT_SIZE_MAX_BYTES - UNIT_SLACK_BYTES


class MetBlocks:
    """What was looked at for one CAR, of all of its roots.

    ``links`` were followed; ``beside_bytes`` is what blocks take beside the content in them, and
    ``untold_bytes`` how much more directories have than their links claim."""

    def __init__(self) -> None:
        self.links = self.beside_bytes = self.untold_bytes = 0
        self._met, self._opened = Seen(CAR_SEEN_MAX), Seen(CAR_SEEN_MAX)
        self._blocks = self._again = self._walked = 0

    def is_new(self, task: Task) -> bool:
        """Whether nothing is known yet of the block as it stands there.  How deep decides whether
        what is below it is too deep, and the size that is claimed whether that is a lie."""
        return self._met.is_new(b"%b %d" % (_place(task), task.claim_bytes))

    def at(self, task: Task, node: DagNode) -> None:
        """Raises MalformedDag where that is more work than the blocks are worth."""
        self.links += 1
        content_bytes = node.size_bytes if task.is_leaf else len(node.content)
        self.beside_bytes += stored_bytes(task.cid, node.block_bytes) - content_bytes
        if task.role in (Role.ENTRY, Role.SHARD):
            self.untold_bytes += max(0, node.size_bytes - task.claim_bytes)
        if task.is_leaf:
            return
        self._blocks += 1
        self._again += 0 if self._opened.is_new(_place(task)) else 1 + node.weight
        if self._again > SPINE_LINKS_AGAIN_MAX or self._blocks > UNIT_WANTS_MAX:
            raise MalformedDag(f"{task.cid} lies in a DAG of too many blocks, or claims of one")

    def again(self, unit: Unit) -> None:
        """Of a walk of this unit alone."""
        self._walked += 1
        if self._walked > UNIT_WANTS_MAX + _WALKED_AGAIN * self.links:
            root = unit.roots[0]
            raise MalformedDag(f"{root} is in units that are the same by and large: too many")

    def fits(self, told_bytes: int) -> bool:
        """Whether each unit of a DAG that claims so much must be within what holders take."""
        told = self.untold_bytes <= UNIT_SLACK_BYTES or (
            told_bytes + self.untold_bytes <= UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES
        )
        return told and self.links <= UNIT_WANTS_MAX and self.beside_bytes <= _BESIDE_MAX_BYTES


def sound_units(blocks: BlocksHere, root: Cid, met: MetBlocks) -> Generator[int, None, list[Unit]]:
    """The units of a DAG that is all here, in steps: yields what each cost, in bytes.

    Raises BlockMissing, BlockDamaged, and MalformedDag for what a get would refuse, or what no
    holder would take."""
    walk = _SoundWalk(root, met)
    while wants := walk.next(_WANTS_AT_ONCE):
        leaves = [want.cid for want in wants if want.cid.codec == RAW]
        sizes = dict(zip(leaves, blocks.sizes(leaves), strict=True))
        for want in wants:
            size_bytes = sizes.get(want.cid)
            node = _leaf(size_bytes) if size_bytes is not None else _read(blocks, want.cid)
            walk.accept(want, node)
            yield STEP_LEAF_BYTES if want.cid.codec == RAW else STEP_LEAF_BYTES + node.block_bytes
    lineages = yield from cutting(blocks, root)
    units = [each.unit for each in lineages]
    for unit in () if met.fits(walk.told_bytes) else units:
        for _ in unit_blocks(blocks, unit, Leaves.PRESENT):
            met.again(unit)
            yield STEP_LEAF_BYTES
    return units


class _SoundWalk(DagWalk):
    """All below a root; emits nothing."""

    def __init__(self, root: Cid, met: MetBlocks) -> None:
        self._met_blocks = met
        super().__init__([root_task(root, None)])

    def _wanted(self, task: Task) -> bool:
        return task.is_leaf or task.cid.inlined is not None or self._met_blocks.is_new(task)

    def _emit(self, task: Task, node: DagNode) -> list[Output]:
        if task.cid.inlined is None:
            self._met_blocks.at(task, node)
        return []


def _place(task: Task) -> bytes:
    return b"%b %d %d %a" % (task.cid.raw, task.role, len(task.order), task.slot)


def _read(blocks: BlocksHere, cid: Cid) -> DagNode:
    return read_node(cid, blocks.get(cid))


def _leaf(size_bytes: int) -> DagNode:
    """A leaf that was not read, by its length: its content counts as none."""
    return DagNode(Kind.RAW, [], [], b"", size_bytes, size_bytes)
