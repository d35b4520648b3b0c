"""Doing what the plan says of one unit: copies are made from here, or the one here goes.

data path of a repair: the way from the root of its DAG to the unit -> the plan of
``replication.placement``, which knows the holders there are -> ``copies.place`` under the owner's
grant -> receipts -> the new holders' records are stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from dhtstore.content.codec.unixfs import read_node
from dhtstore.content.dag.units import Lineage, lineage_wants, whole
from dhtstore.errors import BlockMissing, IntegrityFailure, MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Contact
from dhtstore.model.identity import NodeId, PublicKey, format_node
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.acknowledge import SignedCopy
from dhtstore.node.copies.place import CopyProgress, Placer
from dhtstore.node.copies.serve_blocks import Lending
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.duties.repairing.watching import Judge, Watched
from dhtstore.node.fetching.delivery import BlockBytes
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.identity import Identity
from dhtstore.node.policies.outdated import LookUpOutdated
from dhtstore.node.policies.telling import KnownHolder, TellHolders
from dhtstore.params import PROOF_BLOCKS_MAX_BYTES
from dhtstore.replication.health.copies import CopyState
from dhtstore.replication.placement import Placement
from dhtstore.replication.ranking import Candidate, Domain, Stage
from dhtstore.store.blocks.lent import LentBlocks

NOBODY: Final = "no storage node without a copy was found"
_REASONS_TOLD_MAX: Final = 4


@dataclass(slots=True)
class Repaired:
    """``holders`` signed for a copy; ``why`` there are not as many as were wanted; ``sent_bytes``
    left this node for it.  ``outdated`` is whether somebody declined since the owner has signed a
    newer policy, which counts here by now."""

    holders: list[PublicKey] = field(default_factory=list)
    why: str = ""
    sent_bytes: int = 0
    outdated: bool = False


def _untold(node: NodeId, held_bytes: int, sent_bytes: int) -> None:
    """For whom no progress is told."""


@dataclass(frozen=True, slots=True)
class Acting:
    """``session`` makes one for a fetch; ``ended`` is told which units are kept no more, ``left``
    that there are blocks which nothing keeps.  ``domain`` is this node's own failure domain;
    ``outdated`` looks up what owners want by now."""

    identity: Identity
    disk: Disk
    ledger: Ledger
    placer: Placer
    lending: Lending
    fellows: KnownFellows
    judge: Judge
    session: Callable[[], FetchSession]
    ended: Callable[[Sequence[Unit]], None]
    left: Callable[[], None]
    domain: Callable[[], Domain]
    outdated: LookUpOutdated
    telling: TellHolders

    def may_bring(self, one: Watched) -> bool:
        """Whether the owner is this node's own, or gave a grant: older versions put without."""
        return one.claim.grant is not None or one.claim.policy.owner == self.identity.owner

    def anybody(self, one: Watched) -> bool:
        """Whether a storage node is known that holds no copy as far as is known."""
        holders = set(one.holders).difference(self.judge.without(one))
        contacts = self.placer.dht.contacts()
        return any(each.storage and each.public_key not in holders for each in contacts)

    async def move(self, one: Watched, to: Contact) -> Repaired:
        """Make one copy more at just that node, instead of the one here.  Raises as ``repair``."""
        return await self._make(one, self._plan(one, 1).only_to(to), _untold)

    async def repair(
        self, one: Watched, missing: int, progress: CopyProgress = _untold
    ) -> Repaired:
        """Make ``missing`` copies more.  Raises ConnectionLost when this node stops."""
        once_holders = self.fellows.contacts(self.judge.without(one))
        return await self._make(one, self._plan(one, missing), progress, once_holders)

    async def bring(self, one: Watched, to: Sequence[Contact], count: int) -> Placement:
        """Have ``count`` of ``to``, who hold the unit, keep it for this claim, too: what came of
        it.  Raises as ``repair``."""
        plan = Placement(one.unit.key, 1 + count, self.identity.node, self.domain()).only(to)
        try:
            async with self._proved(one) as lineage:
                return await self.placer.place(plan, lineage, one.claim, _untold, [])
        except (BlockMissing, IntegrityFailure):
            return plan

    async def _make(
        self,
        one: Watched,
        plan: Placement,
        progress: CopyProgress,
        at_last: Sequence[Contact] = (),
    ) -> Repaired:
        """``at_last`` are asked where others take too few: who left and came back empty may have
        lost its copy for good reason, who loses each would be asked again and again."""
        done, sent = Repaired(), dict[NodeId, int]()

        def told(node: NodeId, held_bytes: int, sent_bytes: int) -> None:
            sent[node] = sent_bytes
            progress(node, held_bytes, sent_bytes)

        copies: list[SignedCopy] = []
        try:
            async with self._proved(one) as lineage:
                plan = await self.placer.place(plan, lineage, one.claim, told, copies)
                if plan.missing > 0 and at_last:
                    plan = plan.only(at_last)
                    plan = await self.placer.place(plan, lineage, one.claim, told, copies)
        except (BlockMissing, IntegrityFailure) as error:
            done.why = str(error)
        finally:
            done.sent_bytes = sum(sent.values())
        if copies:
            await self.placer.publish(one.unit, copies)
        for copy in copies:
            key = PublicKey(copy.receipt.public_key)
            self.fellows.told(key, copy.contact.address_list())
            self.fellows.answered(key)
            done.holders.append(key)
        await self._tell_newer(one, copies)
        self.judge.made(one, done.holders, self.identity.now_unix_s())
        if plan.missing > 0 and not done.why:
            done.why = why_not(plan)
            done.outdated = await self.outdated.look(one.claim.policy, plan)
        return done

    async def _tell_newer(self, one: Watched, copies: Sequence[SignedCopy]) -> None:
        """What its owner has signed while these were made: who told holders did not know them."""
        policy, names = one.claim.policy, [one.unit.name]
        known = self.ledger.claims.policy, policy.owner, policy.root
        newest = await self.disk.blocking.run(*known)
        if newest is None or newest.precedence <= policy.precedence:
            return
        holders = {
            each.receipt.signer: KnownHolder(list(each.contact.address_list()), names)
            for each in copies
        }
        await self.telling.tell(newest, holders)

    def _plan(self, one: Watched, missing: int) -> Placement:
        """The holders there are count as such, so that none of them is asked, and new copies are
        kept apart from theirs.  Where one is that never proved its copy is but its word."""
        health = self.judge.health(one)
        held: dict[NodeId, Candidate] = {}
        there = {
            each.holder
            for state in (CopyState.LIVE, CopyState.AWAY)
            for each in health.at(state)
            if each.proven_unix_s
        }
        for key in one.holders:
            fellow = self.fellows.of(key)
            if fellow.place is not None:
                contact = Contact.of(key, fellow.place, storage=True)
                stage = Stage.HELD if contact.node in there else Stage.UNREACHED
                held[contact.node] = Candidate(contact, stage=stage)
        counted = 1 + sum(each.stage is Stage.HELD for each in held.values())
        return Placement(
            one.unit.key,
            counted + missing,
            self.identity.node,
            self.domain(),
            candidates=held,
            repairing=True,
        )

    @asynccontextmanager
    async def _proved(self, one: Watched) -> AsyncIterator[Lineage]:
        """The unit with what proves that it belongs to its root; the new holders may fetch those
        blocks from here meanwhile.  Raises as ``FetchSession.ask``, and as ``_as_linked``."""
        root = Cid(one.claim.policy.root)
        if one.unit.name == root.raw:
            yield Lineage(await self.disk.blocking.run(self._as_linked, root), ())
            return
        lent = await self.disk.blocking.run(LentBlocks, None)
        lent.reads_from(_no_file)
        try:
            lineage = await self._lineage(root, one.unit, lent)
            self.lending.lend(lent)
            yield lineage
        finally:
            self.lending.withdraw(lent)
            await self.disk.blocking.run(lent.close)

    def _as_linked(self, root: Cid) -> Unit:
        """The unit that is named by ``root``, with the size that links claim: the claim on it knows
        what its blocks hold, which is less where some repeat, or are directories.  In a worker;
        raises BlockMissing, BlockDamaged, MalformedDag."""
        return whole(root, read_node(root, self.disk.store.get(root)).size_bytes)

    async def _lineage(self, root: Cid, unit: Unit, lent: LentBlocks) -> Lineage:
        kept_bytes = 0

        def keep(blocks: list[tuple[Cid, BlockBytes]]) -> None:
            nonlocal kept_bytes
            for cid, data in blocks:
                kept_bytes += len(data)
                if kept_bytes > PROOF_BLOCKS_MAX_BYTES:
                    raise MalformedDag(
                        f"too much of {root} stands above the unit to prove its place"
                    )
                lent.keep(cid, data)

        async with self.session() as session:
            session.keeps(keep, lambda cid, data: None)
            lineages = await session.ask(lineage_wants(root))
        for lineage in lineages:
            if (lineage.unit.name, lineage.unit.spine) == (unit.name, unit.spine):
                return lineage
        raise MalformedDag(f"the unit is none of {root}")

    async def drop(self, one: Watched, claims: Sequence[Claim]) -> None:
        """The copy here goes: these end, its record is taken back.  What came to be claimed since
        they were looked at stays.  Raises NoRoom, HomeUnusable."""
        await self.disk.blocking.run(self._end, claims)
        self.left()
        self.ended([one.unit])

    async def end(self, one: Watched) -> None:
        """Its claims end here; its record stays.  Raises NoRoom, HomeUnusable."""
        await self.disk.blocking.run(self._end_all, one.unit)
        self.left()

    def _end_all(self, unit: Unit) -> None:
        """In a worker."""
        claims = self.ledger.claims.for_unit(unit.name)
        self._end([claim for claim in claims if claim.spine == unit.spine])

    def _end(self, claims: Iterable[Claim]) -> None:
        """In a worker.  Not what the own user has put here since this was decided."""
        for claim in claims:
            if claim.policy.owner != self.identity.owner:
                self.ledger.claims.end(claim)


def _no_file(names: tuple[str, ...], start: int, size_bytes: int) -> bytes:
    raise BlockMissing("it stands in no file")


def why_not(plan: Placement) -> str:
    """Why nobody else took it: each that was asked, the first _REASONS_TOLD_MAX."""
    asked = [each for each in plan.candidates.values() if each.why]
    if not asked:
        return NOBODY
    told = [f"{format_node(each.node)}: {each.why}" for each in asked[:_REASONS_TOLD_MAX]]
    if len(asked) > len(told):
        told.append(f"{len(asked) - len(told)} more took none either")
    return "; ".join(told)
