"""How full is another node's disk?  It says so where it takes an offer, which is given back."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.errors import DhtstoreError, PeerRefused
from dhtstore.model.contact import Contact
from dhtstore.model.policy import Claim
from dhtstore.node.copies.granting.offering import offer_for
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import DIAL_TIMEOUT_S, OFFER_TIMEOUT_S, RELEASE_TIMEOUT_S
from dhtstore.replication.repair.moving import Fill
from dhtstore.wire.frames import Accepted, Release, Released

_FULL = Fill(0, 0)


@dataclass(frozen=True, slots=True)
class AskRoom:
    """Asks by offers of what this node holds."""

    identity: Identity
    links: Links

    async def of(self, contact: Contact, claim: Claim) -> Fill | None:
        """Full, where it declines; None where it does not answer or does not tell."""
        try:
            link = await self.links.to(contact.public_key, [contact.address], DIAL_TIMEOUT_S)
            return await self._asked(link, claim)
        except PeerRefused:
            return _FULL
        except DhtstoreError:
            return None

    async def _asked(self, link: Link, claim: Claim) -> Fill | None:
        offer = offer_for(claim, self.identity, link)
        accepted = await link.request(offer, Accepted, OFFER_TIMEOUT_S)
        given_back = Release(reservation=accepted.reservation)
        await link.request(given_back, Released, RELEASE_TIMEOUT_S)
        if accepted.room is None or link.peer_record is None:
            return None
        return Fill(accepted.room, link.peer_record.capacity_bytes)
