"""The asker's side: does a holder still hold a unit?

data path: provider records and receipts -> links -> Check, to all at once, each with a deadline ->
of strangers a block that proves their word -> what came of it -> written down, so that a later list
knows it.  Who made a copy since, as in a repair, is asked for its receipt on the way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dhtstore.dht.engine.harvest import Provider
from dhtstore.errors import (
    ClockOff,
    ConnectionLost,
    DhtstoreError,
    InvalidSignature,
    PeerRefused,
    RemoteProtocolError,
    UnknownNode,
)
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord, subnet
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.node.checking.sample import lack_of_sample
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.copies.acknowledge import check_receipt, receipt_again
from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.params import CHECK_TIMEOUT_S, CHECKS_AT_ONCE, DIAL_TIMEOUT_S, LOOKUP_TIMEOUT_S
from dhtstore.store.ledger.listing.places import HolderPlace
from dhtstore.store.ledger.listing.tally import Proof
from dhtstore.tasks import run_all
from dhtstore.wire.frames import Check, Checked

Told = Mapping[PublicKey, Sequence[Address]]  # holders, and where they are said to be
Found = dict[NodeId, Proof]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about.  ``signers`` answer for the unit with a receipt that is here: their yes
    makes them "live".  The yes of anybody else is a word.  Of what was ``put_here`` receipts tell
    which copies there are, and a stranger only "says so"; of anything else it is "live" if it
    proves its word by a block.  Under ``policy`` of this node's own owner a stranger that does, and
    signs for it, is a holder as any other; ``signed`` are those who did."""

    unit: Unit
    signers: Collection[PublicKey] = ()
    put_here: bool = False
    policy: Policy | None = None
    signed: Collection[PublicKey] = ()


@dataclass(frozen=True, slots=True)
class HolderChecks:
    """Asks holders whether they still are."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    reach: Reach
    completeness: Completeness
    rng: random.Random
    silent: dict[NodeId, str] = field(default_factory=dict)  # in this operation, and why
    received: list[Receipt] = field(default_factory=list)
    met: dict[NodeId, HolderPlace] = field(default_factory=dict)  # where they answered

    async def check(self, asked: Question, holders: Told) -> Found:
        """What each of ``holders`` says now; of one that cannot say, as of an older version or one
        that has no time, there is nothing.  This node looks for itself."""
        found: Found = {}
        asks = [partial(self._into, found, asked, key, told) for key, told in holders.items()]
        await run_all(asks, limit=CHECKS_AT_ONCE)
        return found

    def receipts(self, root: Cid) -> list[Receipt]:
        """Those that came in this operation."""
        return [each for each in self.received if each.root == root.raw]

    async def write_down(self, root: Cid, found: Mapping[bytes, Found]) -> None:
        """What came of asking for units of ``root``, by name, if it was put from here."""
        run = self.disk.blocking.run
        if await run(self.ledger.puts.get, root) is None:
            return
        await run(self.ledger.places.save, self.met)
        await run(self.ledger.receipts.adopt, self.receipts(root))
        self.received[:] = [each for each in self.received if each.root != root.raw]
        proofs = {(unit, node): each for unit, some in found.items() for node, each in some.items()}
        await run(self.ledger.receipts.prove, root, proofs)

    async def _into(
        self, found: Found, asked: Question, key: PublicKey, told: Sequence[Address]
    ) -> None:
        now_unix_s, node = self.identity.now_unix_s(), node_id(key)
        if (why := self.silent.get(node)) is not None:
            found[node] = Proof(now_unix_s, "silent", why)
            return
        try:
            if key == self.identity.public_key:
                why = await self.disk.blocking.run(self._look_here, asked)
                self.met.update(_places_of(self.identity.record()))
                found[node] = Proof(now_unix_s, "lacks" if why else "live", why)
            else:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    state, why = await self._ask(asked, key, told)
                found[node] = Proof(now_unix_s, state, why)
        except PeerRefused:
            return  # it is there, and says nothing of the copy
        except TimeoutError:
            self.silent[node] = "it gave no answer in time"
            found[node] = Proof(now_unix_s, "silent", self.silent[node])
        except DhtstoreError as error:
            found[node] = Proof(now_unix_s, "silent", str(error))

    def _look_here(self, asked: Question) -> str:
        """Why the unit is not here whole; where it is and only another key has signed for that, as
        of before the present one, this one does.  In a worker."""
        why, key, policy = (
            self.completeness.lack_now(asked.unit),
            self.identity.public_key,
            asked.policy,
        )
        if why or policy is None or key in asked.signed:
            return why
        kept = policy.owner, policy.root, asked.unit.name
        receipt = receipt_again(self.identity, self.ledger.claims, *kept)
        self.received.extend([] if receipt is None else [receipt])
        return ""

    async def _ask(
        self, asked: Question, key: PublicKey, told: Sequence[Address]
    ) -> tuple[str, str]:
        """Its state, and why it is not "live"."""
        addresses = list(told) or await self._addresses(node_id(key))
        if not addresses:
            raise UnknownNode("nobody knows an address of it")  # of another unit somebody may
        link = await self._met(key, addresses)
        answer = await link.request(_check_of(asked, key), Checked, CHECK_TIMEOUT_S)
        if not answer.whole:
            return "lacks", answer.why or "it does not hold it any more"
        label = link.peer_record.domain if link.peer_record else ""
        self.met[node_id(key)] = HolderPlace(link.origin, label)
        if key not in asked.signers:
            if asked.put_here and answer.receipt is None:
                return "says so", "it signed no receipt"
            if why := await lack_of_sample(link, asked.unit, self.rng, self.disk.blocking):
                return "lacks", why
        if answer.receipt is not None and asked.policy is not None:
            return self._take(answer.receipt, asked.unit, asked.policy, key)
        return "live", ""

    def _take(self, packed: bytes, unit: Unit, policy: Policy, key: PublicKey) -> tuple[str, str]:
        """Its state by what it signed."""
        try:
            receipt = unpack(Receipt, packed)
            check_receipt(self.identity, receipt, key, unit.name, policy)
        except (InvalidSignature, ClockOff, RemoteProtocolError) as error:
            return "says so", f"its receipt does not hold: {error}"
        self.received.append(receipt)
        return "live", ""

    async def _met(self, key: PublicKey, addresses: Sequence[Address]) -> Link:
        """Who cannot be connected to is not dialled again; a connection that is lost says less."""
        try:
            return await self.reach.links.to(key, addresses, DIAL_TIMEOUT_S)
        except ConnectionLost as error:
            self.silent[node_id(key)] = str(error)
            raise

    async def _addresses(self, node: NodeId) -> list[Address]:
        """Where it last answered, else where the network says that it can be reached."""
        heard = self.reach.dht.address_of(node)
        if heard is not None:
            return [heard]
        record = await self.reach.dht.find_contact(node, timeout_s=LOOKUP_TIMEOUT_S)
        return [] if record is None else self.reach.links.followable(record.address_list())


def _places_of(own: ContactRecord) -> dict[NodeId, HolderPlace]:
    """None while this machine has no address."""
    first = own.address_list()[:1]
    return {node_id(own.signer): HolderPlace(subnet(each), own.domain) for each in first}


def _check_of(asked: Question, key: PublicKey) -> Check:
    """With the wish for a receipt where there is none for the newest policy."""
    unit, policy = asked.unit.name, asked.policy
    if policy is None or key in asked.signed:
        return Check(unit=unit)
    return Check(unit=unit, owner=policy.owner, root=policy.root)


def of_signers(said: Found, signed: Mapping[PublicKey, int]) -> Found:
    """What those said who signed, and when; what speaks against a copy is younger than its receipt,
    whatever clock that was signed by."""
    found: Found = {}
    for key, signed_unix_s in signed.items():
        proof = said.get(node_id(key))
        if proof is not None:
            unix_s = proof.unix_s if proof.state == "live" else max(proof.unix_s, signed_unix_s)
            found[node_id(key)] = Proof(unix_s, proof.state, proof.why)
    return found


def told_of(providers: Sequence[Provider], reach: Reach) -> dict[PublicKey, list[Address]]:
    """Where providers are, by what came with their records and where they were last heard."""
    told: dict[PublicKey, list[Address]] = {}
    for each in providers:
        key = each.record.signer
        heard = reach.dht.address_of(node_id(key))
        said = reach.links.followable(each.contact.address_list()) if each.contact else []
        told[key] = [*([heard] if heard else []), *said]
    return told
