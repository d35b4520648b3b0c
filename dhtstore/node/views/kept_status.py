"""status: what lies here while no node runs."""

from __future__ import annotations

from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.room import Giving, room_status
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import NodeStatus


async def kept_status(
    disk: Disk, ledger: Ledger, *, node: str, network: str, giving: Giving, now_unix_s: float
) -> NodeStatus:
    """Of a node with these settings."""
    run = disk.blocking.run
    return NodeStatus(
        node=node,
        network=network,
        uptime_s=None,
        peers=None,
        storage_peers=None,
        capacity=giving.capacity_bytes,
        used=disk.store.used_bytes,
        blocks=await run(disk.store.count),
        units=await run(ledger.claims.count_kept, now_unix_s),
        puts=await run(ledger.puts.count),
        records=None,
        incomplete_units=None,
        damaged_blocks=await run(ledger.damage.count),
        verified=Moment.at_or_never((await run(ledger.scrubbed.load)).whole_unix_s),
        running=False,
        room=await room_status(disk, ledger, giving, now_unix_s),
    )
