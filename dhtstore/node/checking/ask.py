"""The asker's side: does a holder still hold a unit?

data path: provider records and receipts -> links -> Check, to all at once, each with a deadline ->
what they say -> written down, so that a later list knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dhtstore.dht.engine.harvest import Provider
from dhtstore.errors import ConnectionLost, DhtstoreError, PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.params import CHECK_TIMEOUT_S, CHECKS_AT_ONCE, DIAL_TIMEOUT_S, LOOKUP_TIMEOUT_S
from dhtstore.store.ledger.puts import Proof
from dhtstore.tasks import run_all
from dhtstore.wire.frames import Check, Checked

Told = Mapping[PublicKey, Sequence[Address]]  # holders, and where they are said to be
Found = dict[NodeId, Proof]


@dataclass(frozen=True, slots=True)
class HolderChecks:
    """Asks holders whether they still are."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    reach: Reach
    completeness: Completeness

    async def check(self, unit: Unit, holders: Told) -> Found:
        """What each of ``holders`` says now; of one that cannot say, as of an older version, there
        is nothing.  This node looks for itself."""
        found: Found = {}
        asks = [partial(self._into, found, unit, key, told) for key, told in holders.items()]
        await run_all(asks, limit=CHECKS_AT_ONCE)
        return found

    async def write_down(self, root: Cid, found: Mapping[bytes, Found]) -> None:
        """What came of units of ``root``, by name, if it was put from here."""
        run = self.disk.blocking.run
        if await run(self.ledger.puts.get, root) is None:
            return
        proofs = {(unit, node): each for unit, some in found.items() for node, each in some.items()}
        await run(self.ledger.receipts.prove, root, proofs)

    async def _into(
        self, found: Found, unit: Unit, key: PublicKey, told: Sequence[Address]
    ) -> None:
        now_unix_s = self.identity.now_unix_s()
        try:
            if key == self.identity.public_key:
                why = await self.completeness.lack(unit)
            else:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    why = await self._ask(unit, key, told)
        except PeerRefused:
            return  # it is there, and says nothing of the copy
        except TimeoutError:
            found[node_id(key)] = Proof(now_unix_s, "silent", "it gave no answer in time")
        except DhtstoreError as error:
            found[node_id(key)] = Proof(now_unix_s, "silent", str(error))
        else:
            found[node_id(key)] = Proof(now_unix_s, "lacks" if why else "live", why)

    async def _ask(self, unit: Unit, key: PublicKey, told: Sequence[Address]) -> str:
        """Why it is not whole there, "" if it is."""
        addresses = list(told) or await self._addresses(node_id(key))
        if not addresses:
            raise ConnectionLost("nobody knows an address of it")
        link = await self.reach.links.to(key, addresses, DIAL_TIMEOUT_S)
        answer = await link.request(Check(unit=unit.name), Checked, CHECK_TIMEOUT_S)
        return "" if answer.whole else answer.why or "it does not hold it any more"

    async def _addresses(self, node: NodeId) -> list[Address]:
        """Where it last answered, else where the network says that it can be reached."""
        heard = self.reach.dht.address_of(node)
        if heard is not None:
            return [heard]
        record = await self.reach.dht.find_contact(node, timeout_s=LOOKUP_TIMEOUT_S)
        return [] if record is None else self.reach.links.followable(record.address_list())


def told_of(providers: Sequence[Provider], reach: Reach) -> dict[PublicKey, list[Address]]:
    """Where providers are, by what came with their records and where they were last heard."""
    told: dict[PublicKey, list[Address]] = {}
    for each in providers:
        key = each.record.signer
        heard = reach.dht.address_of(node_id(key))
        said = reach.links.followable(each.contact.address_list()) if each.contact else []
        told[key] = [*([heard] if heard else []), *said]
    return told
