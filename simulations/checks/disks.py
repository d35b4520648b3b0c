"""What disks hold, beside what ledgers and quotas say of them."""

from __future__ import annotations

from simulations.checks.checker import Checker, some
from simulations.checks.world_view import WorldView
from simulations.nodes.insight import DiskRoom

_NODES_MAX, _UNITS_MAX = 64, 64  # looked at each time


class ClaimsHaveBlocks(Checker):
    """Of each unit that a node's ledger says to keep, every block is on its disk."""

    name = "claims_have_blocks"
    blind_to = (
        "nodes that lost data to a fault; whether leaves are right; claims that should be there "
        f"and are not (receipts_hold); all but {_NODES_MAX} nodes and {_UNITS_MAX} units of each"
    )

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node} claims {unit}, of which blocks are missing"
            for node in some(world.nodes_up(), _NODES_MAX, world.now_s)
            for unit in world.claimed_in_vain(node, _UNITS_MAX)
        ]


class DisksOpen(Checker):
    """The store and the ledger can be opened on whatever a crash has left."""

    name = "disks_open"
    blind_to = "disks that are memory (disk.kind), which nobody has to open"

    def check(self, world: WorldView) -> list[str]:
        return list(world.disk_faults())


class RoomIsCounted(Checker):
    """Nothing is reserved where no offer is open and nobody puts; what is counted as used is what
    lies on the disk, and not more than the capacity."""

    name = "room_is_counted"
    blind_to = (
        "reservations that are too large while they last, and offers that stay open too long; what "
        "a ledger and an index take; bytes that a real disk has not given back yet; all but "
        f"{_NODES_MAX} nodes at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node}: {wrong}"
            for node in some(world.nodes_up(), _NODES_MAX, world.now_s)
            for wrong in _faults(world.room(node), busy=world.journal.busy(node))
        ]


def _faults(room: DiskRoom, *, busy: bool) -> list[str]:
    found = []
    if room.reserved_bytes and not room.offers_open and not busy:
        found.append(f"{room.reserved_bytes} bytes are reserved for nobody")
    if room.reserved_bytes < 0:
        found.append(f"{-room.reserved_bytes} more bytes were given back than reserved")
    if room.exact and room.blocks_bytes > room.counted_bytes:
        found.append(f"blocks take {room.blocks_bytes} bytes, {room.counted_bytes} are counted")
    if room.exact and not room.batches_open and room.blocks_bytes < room.counted_bytes:
        found.append(f"{room.counted_bytes} bytes are counted, blocks take {room.blocks_bytes}")
    if room.capacity_bytes is not None and room.blocks_bytes > room.capacity_bytes:
        found.append(f"blocks take {room.blocks_bytes} of {room.capacity_bytes} bytes")
    return found
