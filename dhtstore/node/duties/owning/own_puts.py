"""What this node sees of the copies of its own puts reaches their lists.

data path: an audit, a lookup or a repair of a unit that was put from here -> the next look -> what
was seen of each holder that signed, beside its receipt; of each other one its receipt, which it is
asked for and which counts once it has given a block picked at random -> the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import Found, HolderChecks, Question, of_signers
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.duties.repairing.watching import Watched
from dhtstore.node.identity import Identity
from dhtstore.params import OWN_PUTS_SEEN_MAX
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.health.holders import HolderRow
from dhtstore.store.ledger.listing.tally import Proof
from dhtstore.store.ledger.puts import PutRecord

T = TypeVar("T")
_Lacking = dict[tuple[bytes, bytes], HolderRow]  # by unit and holder


@dataclass(slots=True)
class OwnPuts:
    """``checker`` makes one for each look.  Of what was ``_seen`` of a unit, and is ``_due`` of a
    root, rows of those that lack their copy are kept until they are written down: once enough
    others are known they are forgotten."""

    identity: Identity
    fellows: KnownFellows
    checker: Callable[[], HolderChecks]
    joined: asyncio.Event
    _seen: dict[bytes, dict[bytes, HolderRow]] = field(default_factory=dict)
    _due: dict[bytes, _Lacking] = field(default_factory=dict)

    def seen(self, one: Watched) -> None:
        """Something became known of the copies of a unit, whosever claim on it is looked after."""
        if one.stays and len(self._seen) < OWN_PUTS_SEEN_MAX:
            lacking = self._seen.setdefault(one.unit.name, {})
            lacking |= {row.key: row for row in one.row.holders if row.lacks}

    async def run(self) -> None:
        """Forever."""
        await self.joined.wait()
        while True:
            await asyncio.sleep(self.fellows.periods.look_s)
            await self._gather()
            while self._due:
                await self.look(Cid(next(iter(self._due))))

    async def look(self, root: Cid) -> None:
        """Write down what is known by now.  Raises NoRoom, HomeUnusable."""
        lacking, checker = self._due.pop(root.raw, {}), self.checker()
        await _RootLook(self.identity, self.fellows, checker, root, lacking).run()

    async def _gather(self) -> None:
        """Of the units that were seen, what this node's owner put.  Raises HomeUnusable."""
        checker = self.checker()
        while self._seen:
            name = next(iter(self._seen))
            claims = checker.ledger.claims
            roots = await checker.disk.blocking.run(_own_roots, claims, self.identity.owner, name)
            lacking = self._seen.pop(name)
            for root in roots:
                due = self._due.setdefault(root, {})
                due |= {(name, key): row for key, row in lacking.items()}


def _own_roots(claims: Claims, owner: bytes, unit: bytes) -> set[bytes]:
    """In a worker."""
    policies = (each.policy for each in claims.for_unit(unit))
    return {policy.root for policy in policies if policy.owner == owner}


@dataclass(slots=True)
class _RootLook:
    """At one root."""

    identity: Identity
    fellows: KnownFellows
    checker: HolderChecks
    root: Cid
    lacking: _Lacking

    async def run(self) -> None:
        ledger = self.checker.ledger
        record = await self._work(ledger.puts.get, self.root)
        if record is None:
            return
        proofs = await self._work(ledger.receipts.proofs, self.root)
        signed: dict[bytes, dict[PublicKey, Receipt]] = {}
        for each in await self._work(ledger.receipts.for_root, self.root):
            signed.setdefault(each.unit, {})[each.signer] = each
        found: dict[bytes, Found] = {}
        for unit in await self._work(ledger.roots.units, self.root):
            seen = await self._unit(unit, record, signed.get(unit.name, {}))
            news = {
                node: proof
                for node, proof in seen.items()
                if proofs.get((unit.name, node)) != proof
            }
            found.setdefault(unit.name, {}).update(news)
        if any(found.values()):
            await self.checker.write_down(self.root, found)

    async def _unit(
        self, unit: Unit, record: PutRecord, receipts: Mapping[PublicKey, Receipt]
    ) -> Found:
        """Who signed for an earlier policy is asked to sign for the one of by now: once another
        has, its receipt counts no more."""
        own, before, policy = self.identity.public_key, len(self.checker.received), record.policy
        signed = {key: each.time for key, each in receipts.items()}
        newest = {key for key, each in receipts.items() if each.policy_seq >= policy.sequence}
        row = await self._work(self.checker.ledger.holders.get, (unit.name, unit.spine))
        found: Found = {}
        asked: dict[PublicKey, list[Address]] = {own: []}
        known = {each.key for each in row.holders}
        gone = [each for (name, _), each in self.lacking.items() if name == unit.name]
        for each in (*row.holders, *(each for each in gone if each.key not in known)):
            key = PublicKey(each.key)
            if key in signed:
                found |= self._seen_of(each, signed)
            if key not in newest and not each.lacks and not self.fellows.of(key).past.silent_s:
                asked[key] = self._places(key)
        question = Question(unit, signed, put_here=True, policy=policy, signed=newest)
        said = await self.checker.check(question, asked)
        now_signed = {each.signer: each.time for each in self.checker.received[before:]}
        return found | of_signers(said, {**signed, **now_signed})

    def _seen_of(self, row: HolderRow, signed: Mapping[PublicKey, int]) -> Found:
        """What speaks for or against the copy of a holder that signed; nothing where it is silent
        for less than its grace."""
        key = PublicKey(row.key)
        past, signed_unix_s = self.fellows.of(key).past, signed[key]
        if row.lacks:
            proof = Proof(max(int(row.audited_unix_s), signed_unix_s), "lacks", row.lacks)
        elif past.silent_s >= past.grace_s(self.fellows.periods):
            since_unix_s = max(int(past.heard_unix_s), signed_unix_s)
            proof = Proof(since_unix_s, "silent", "it was silent beyond its grace")
        elif row.proven_unix_s > signed_unix_s:
            proof = Proof(int(row.proven_unix_s), "live")
        else:
            return {}
        return {node_id(key): proof}

    def _places(self, key: PublicKey) -> list[Address]:
        place = self.fellows.of(key).place
        return [] if place is None else self.fellows.places(Contact.of(key, place))

    async def _work(self, work: Callable[..., T], *given: object) -> T:
        return await self.checker.disk.blocking.run(work, *given)
