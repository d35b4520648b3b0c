"""pin ls: what is kept here whatever the network wants."""

from __future__ import annotations

from dhtstore.node.context import Disk
from dhtstore.operations.keeping import PinInfo
from dhtstore.store.ledger.pins import Pins


async def pin_list(disk: Disk, pins: Pins) -> list[PinInfo]:
    """By CID, those of puts too."""
    found = await disk.blocking.run(pins.list)
    return [PinInfo(str(pin.cid), pin.kind, pin.name) for pin in found]
