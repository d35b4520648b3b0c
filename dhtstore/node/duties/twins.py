"""Another node with the key of this one, as after its home was copied: each takes the other's
answers, addresses and records away, so both are to know.

The index nodes hold the newest contact record of our key.  One that this node did not sign in this
life is of an earlier one, or of a twin: whoever proves our key at its addresses is the twin, which
sees by the same handshake that we are its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import NodeId, PublicKey
from dhtstore.node.identity import Identity
from dhtstore.node.warnings import Warnings
from dhtstore.params import DIAL_TIMEOUT_S, LOOKUP_TIMEOUT_S, REPROVIDE_INTERVAL_S

_WHAT: Final = "twin"


class Met(Protocol):
    """A link to whoever answered."""

    @property
    def public_key(self) -> PublicKey: ...

    @property
    def peer_record(self) -> ContactRecord | None: ...

    def abandon(self, why: str = ...) -> None: ...


class Dials(Protocol):
    """As much of the links as this duty needs."""

    async def dial_unknown(self, address: Address, timeout_s: float) -> Met: ...


class ContactSearch(Protocol):
    """As much of the DHT."""

    async def find_contact(self, node: NodeId, *, timeout_s: float) -> ContactRecord | None: ...


@dataclass(slots=True)
class Twins:
    """Looks for them before the first announcement, and then now and then."""

    identity: Identity
    dht: ContactSearch
    links: Dials
    warnings: Warnings
    _known: Sequence[Address] = field(default=())

    async def run(self) -> None:
        """Forever."""
        while True:
            await asyncio.sleep(REPROVIDE_INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Ask the network where this key was announced from last, and who answers there."""
        await self.ask(await self.elsewhere())

    async def ask(self, addresses: Sequence[Address]) -> None:
        """Whether a twin answers at one of them."""
        if not await self._answers(addresses):
            self._known = ()
            self.warnings.over(_WHAT)

    def met(self, record: ContactRecord) -> None:
        """Somebody proved the key of this node, and said this of itself."""
        if self.identity.signed_here(record):
            return  # this node, by way of an address of its own
        self._known = record.address_list()
        places = ", ".join(map(str, self._known)) or "an unknown address"
        self.warnings.tell(
            _WHAT,
            f"another node has the key of this one, at {places}: others take the two for one and"
            " reach neither for sure; stop one, and give it a home of its own",
        )

    async def elsewhere(self) -> list[Address]:
        """Where a twin was met, and where this key was announced from that is not here."""
        try:
            record = await self.dht.find_contact(self.identity.node, timeout_s=LOOKUP_TIMEOUT_S)
        except DhtstoreError:
            record = None  # nobody answers who could know
        told = () if record is None else record.address_list()
        own = self.identity.addresses()
        return [each for each in dict.fromkeys((*self._known, *told)) if each not in own]

    async def _answers(self, addresses: Sequence[Address]) -> bool:
        """Whether a twin does, at one of them; ``met`` is told by the links."""
        for address in addresses:
            try:
                link = await self.links.dial_unknown(address, DIAL_TIMEOUT_S)
            except DhtstoreError:
                continue
            link.abandon("it was asked who it is")
            record = link.peer_record
            if link.public_key == self.identity.public_key and record is not None:
                return not self.identity.signed_here(record)
        return False
