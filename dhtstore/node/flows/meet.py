"""Meeting seeds: what a user gave becomes a contact whose key is proved, over TCP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dhtstore.errors import OTHER_NETWORK_HINT, ConnectionLost, RefusedByNetwork, Unreachable
from dhtstore.model.contact import Address, Contact, split_host_port
from dhtstore.model.identity import PublicKey
from dhtstore.net.addresses import in_reach, resolve
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import DIAL_TIMEOUT_S
from dhtstore.wire.ticket import Ticket, looks_like_ticket

LearnSeed = Callable[[str, PublicKey], None]  # HOST:PORT, the key that was shown there


@dataclass(frozen=True, slots=True)
class Meetings:
    """Of a node that listens at ``local``; keys of HOST:PORT seeds are ``known`` or told to
    ``learn``."""

    identity: Identity
    local: Address
    links: Links
    known: Mapping[str, PublicKey]
    learn: LearnSeed

    async def meet(self, seed: str) -> Contact:
        """Raises RefusedByNetwork, PeerRefused, ConnectionLost, UsageError, and Unreachable for
        this node itself and for a seed of another address family."""
        link = await self._link(seed)
        if link.public_key == self.identity.public_key:
            link.abandon("it has the key of this node")
            record = link.peer_record
            if record is None or self.identity.signed_here(record):
                raise Unreachable("this node itself answers there")
            raise Unreachable("a node with the key of this one answers there: is its home a copy?")
        storage = link.peer_record is not None and link.peer_record.capacity_bytes > 0
        return Contact.of(link.public_key, link.remote, storage=storage)

    async def _link(self, seed: str) -> Link:
        if looks_like_ticket(seed):
            ticket = self._checked(Ticket.parse(seed))
            addresses = self._in_reach(ticket.addresses)
            return await self.links.to(ticket.public_key, addresses, DIAL_TIMEOUT_S)
        addresses = self._in_reach(await resolve(*split_host_port(seed)))
        if (known := self.known.get(seed)) is not None:
            return await self.links.to(known, addresses, DIAL_TIMEOUT_S)
        link = await dial_unknown(self.links, addresses)
        if link.public_key != self.identity.public_key:
            self.learn(seed, link.public_key)
        return link

    def _checked(self, ticket: Ticket) -> Ticket:
        network = self.identity.network.name
        if ticket.network != network:
            raise RefusedByNetwork(
                f"the ticket is for network {ticket.network!r}, this node is in {network!r}"
            ).hinted(OTHER_NETWORK_HINT)
        if ticket.public_key == self.identity.public_key:
            raise Unreachable(self._of_own_key(ticket))
        return ticket

    def _of_own_key(self, ticket: Ticket) -> str:
        if set(ticket.addresses) & set(self.identity.addresses()):
            return "that is the ticket of this node itself"
        return "that is a ticket of this node's key: its own, or of a node whose home is a copy"

    def _in_reach(self, addresses: Sequence[Address]) -> Sequence[Address]:
        """Those of a family that datagrams of this node can take."""
        found = [each for each in addresses if in_reach(self.local, each)]
        if not found and addresses:
            theirs, ours = ("IPv4", "IPv6") if ":" in self.local.host else ("IPv6", "IPv4")
            raise Unreachable(
                f"it is at an address of {theirs}, and this node listens on {ours} only"
                f" ({self.local}): --listen [::]:PORT takes both"
            )
        return found


async def dial_unknown(links: Links, addresses: Sequence[Address]) -> Link:
    """The first that answers: of a name's addresses often only those of one family do.

    Raises ConnectionLost, RefusedByNetwork, PeerRefused.
    """
    lost: ConnectionLost | None = None
    for address in addresses:
        try:
            return await links.dial_unknown(address, DIAL_TIMEOUT_S)
        except ConnectionLost as error:
            lost = error
    raise lost or ConnectionLost("a name without addresses")
