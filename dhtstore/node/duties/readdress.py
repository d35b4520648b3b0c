"""Tell others where this node can be reached now, as soon as that changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dhtstore.model.contact import Address
from dhtstore.net.ports import Interfaces
from dhtstore.node.identity import Identity
from dhtstore.params import LOOKUP_TIMEOUT_S
from dhtstore.trace import Tracer


class Moved(Protocol):
    """Who must hear of it: what is announced anew."""

    def readdressed(self) -> None: ...


class ContactPublisher(Moved, Protocol):
    """As much of the DHT as this duty needs."""

    async def publish_contact(self, timeout_s: float) -> int: ...


@dataclass(frozen=True, slots=True)
class Readdress:
    """The duty of a node that tells the addresses of its machine."""

    identity: Identity
    dht: ContactPublisher
    announcements: Moved
    interfaces: Interfaces
    tracer: Tracer

    async def run(self) -> None:
        """Forever: an address that no peer could use, coming or going, changes nothing.  Raises
        OSError and UsageError when the system does not tell its addresses, and what publishing
        raises."""
        told = self.identity.addresses()
        while True:
            await self.interfaces.changed()
            if (addresses := self.identity.addresses()) != told:
                told = addresses
                await self._tell(addresses)

    async def _tell(self, addresses: Sequence[Address]) -> None:
        """Those near us at once, so that who looks for us finds us; then by every unit."""
        self.tracer("addresses.changed", told=" ".join(str(each) for each in addresses))
        self.dht.readdressed()
        try:
            await self.dht.publish_contact(timeout_s=LOOKUP_TIMEOUT_S)
        finally:
            self.announcements.readdressed()
