"""status: how this node is doing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from dhtstore.config import format_own_clock
from dhtstore.dht.service import DhtService
from dhtstore.model.identity import format_node
from dhtstore.net.interfaces.sockets import open_sockets
from dhtstore.net.ports import Blocking
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.scrubbing.damage_places import DamagedPlace, told_place
from dhtstore.node.views.room import Giving, look_for_room, room_status
from dhtstore.node.warnings import Warnings
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import AnnouncingStatus, NodeStatus, TrafficStatus
from dhtstore.operations.safety import CopiesStatus
from dhtstore.params import DAMAGE_TOLD_MAX


async def node_status(
    disk: Disk,
    ledger: Ledger,
    identity: Identity,
    dht: DhtService,
    completeness: Completeness,
    warnings: Warnings,
    *,
    damage: Sequence[DamagedPlace],
    giving: Giving,
    uptime_s: float,
    collector: Collector,
    announcing: Callable[[], AnnouncingStatus | None],
    copies: CopiesStatus | None,
) -> NodeStatus:
    """What this node holds and whom it knows; ``damage`` is what damaged blocks belong to,
    ``announcing`` tells whether that keeps up, and warns where it does not; ``copies`` is what is
    known of others' copies."""
    run, contacts, ahead_s = disk.blocking.run, dht.contacts(), dht.clock_ahead_s()
    await warnings.look_again()
    await look_for_room(disk, warnings)
    told = announcing()
    look_at_clock(dht, warnings)
    room = await room_status(disk, ledger, giving, identity.now_unix_s())
    if room:
        dead = collector.last.dead_bytes if collector.last else None
        room = replace(room, garbage=collector.garbage_bytes, dead=dead)
    return NodeStatus(
        node=format_node(identity.node),
        network=identity.network.name,
        uptime_s=round(uptime_s, 1),
        peers=len(contacts),
        storage_peers=sum(contact.storage for contact in contacts),
        capacity=giving.capacity_bytes,
        used=disk.store.used_bytes,
        blocks=await run(disk.store.count),
        units=await run(ledger.claims.count_kept, identity.now_unix_s()),
        puts=await run(ledger.puts.count),
        records=dht.records_held,
        incomplete_units=completeness.incomplete,
        damaged_blocks=await run(ledger.damage.count),
        damage=[told_place(each) for each in damage[:DAMAGE_TOLD_MAX]],
        verified=Moment.at_or_never((await run(ledger.scrubbed.load)).whole_unix_s),
        warnings=warnings.texts,
        clock_ahead_s=None if ahead_s is None else round(ahead_s, 1),
        room=room,
        announcing=told,
        traffic=await _traffic(dht, disk.blocking),
        copies=copies,
    )


def look_at_clock(dht: DhtService, warnings: Warnings) -> None:
    """Warn while our clock is off, by what peers tell of theirs."""
    difference = format_own_clock(dht.clock_ahead_s())
    if difference:
        warnings.tell("clock", f"the clock here is {difference}: set it by a time server")
    else:
        warnings.over("clock")


async def _traffic(dht: DhtService, blocking: Blocking) -> TrafficStatus | None:
    """None in the first second."""
    rates = dht.traffic()
    if rates is None:
        return None
    return TrafficStatus(
        window_s=round(rates.window_s, 1),
        packets_in=round(rates.packets_in, 3),
        packets_out=round(rates.packets_out, 3),
        bytes_in=round(rates.bytes_in, 1),
        bytes_out=round(rates.bytes_out, 1),
        contacts=len(dht.contacts()),
        sockets=await blocking.run(open_sockets),
    )
