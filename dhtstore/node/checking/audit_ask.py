"""The auditor's side: what a holder proves of units that are here, too.

data path: units that both hold -> the answers that are right, from the blocks here -> Audit over a
link, all units of a peer at once -> Audited -> compared.  What this node cannot compute itself, it
does not ask about: nobody is accused by a broken disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from dhtstore.errors import DhtstoreError, PeerRefused, TimedOut
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock, Entropy
from dhtstore.node.checking.reading_sample import Pairing, SampleReader
from dhtstore.node.copies.completeness import Completeness, Looked
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import (
    AUDIT_LOOK_S,
    AUDIT_SAMPLES_MAX,
    AUDIT_UNITS_MAX,
    DIAL_TIMEOUT_S,
    NONCE_BYTES,
)
from dhtstore.replication.auditing import deadline_s
from dhtstore.store.ledger.health.holders import FailedAudit
from dhtstore.wire.frames import Audit, Audited, AuditItem


class Ruling(StrEnum):
    """What came of asking for one unit."""

    PROVED = "proved"
    LACKS = "lacks"  # it says so itself, or its bytes are others than ours
    SILENT = "silent"  # there is no connection, or it ended
    UNKNOWN = "unknown"  # it had no time, or took too long: that says nothing of the copy
    UNASKED = "unasked"  # what is here does not tell which answer would be right


class AuditVerdict(NamedTuple):
    """``stays`` is whether a holder that proved its copy says that it never drops it; ``failed``
    which audit it is that it ``LACKS`` blocks of."""

    ruling: Ruling
    stays: bool = False
    failed: FailedAudit | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """A unit that is asked about, and how many of its blocks are hashed.  Who ``failed`` has to
    have those blocks first that it had not: any others of a rotten copy are whole, mostly."""

    unit: Unit
    samples: int
    failed: FailedAudit | None = None


@dataclass(frozen=True, slots=True)
class Auditor:
    """Asks other holders of what this node holds."""

    identity: Identity
    completeness: Completeness
    links: Links
    clock: Clock
    entropy: Entropy

    async def audit(
        self, key: PublicKey, places: Sequence[Address], asked: Sequence[Sampled], rtt_s: float
    ) -> list[AuditVerdict]:
        """The verdict on each of ``asked``, in order; never raises for what the peer does."""
        found: dict[int, AuditVerdict] = {}
        otherwise = AuditVerdict(Ruling.SILENT)
        try:
            link = await self.links.to(key, places, DIAL_TIMEOUT_S)
            await self._ask_failed(link, asked, rtt_s, found)
            await self._ask(link, asked, rtt_s, found)
        except PeerRefused:
            otherwise = AuditVerdict(Ruling.UNKNOWN)
        except DhtstoreError:
            pass
        return [found.get(at, otherwise) for at in range(len(asked))]

    async def _ask_failed(
        self, link: Link, asked: Sequence[Sampled], rtt_s: float, found: dict[int, AuditVerdict]
    ) -> None:
        """Once more for what was failed; ``found`` are those that have not got it by now."""
        for at, each in enumerate(asked):
            if each.failed is not None:
                same = [Sampled(each.unit, each.failed.samples)]
                [verdict] = await self._portion(link, same, each.failed.nonce, rtt_s)
                if verdict.ruling is not Ruling.PROVED:
                    found[at] = verdict

    async def _ask(
        self, link: Link, asked: Sequence[Sampled], rtt_s: float, found: dict[int, AuditVerdict]
    ) -> None:
        """For blocks that nobody can know before, of all that are not ``found`` yet."""
        left = [at for at in range(len(asked)) if at not in found]
        places = iter(left)
        for some in _portions([asked[at] for at in left]):
            nonce = self.entropy.random_bytes(NONCE_BYTES)
            verdicts = await self._portion(link, some, nonce, rtt_s)
            found.update((at, verdict) for verdict, at in zip(verdicts, places, strict=False))

    async def _portion(
        self, link: Link, asked: Sequence[Sampled], nonce: bytes, rtt_s: float
    ) -> list[AuditVerdict]:
        """Raises PeerRefused, ConnectionLost."""
        who = Pairing(self.identity.network, nonce, self.identity.public_key, link.public_key)
        right = await self.completeness.disk.blocking.run(self._right, who, asked)
        known = [at for at, proof in enumerate(right) if proof]
        verdicts = [AuditVerdict(Ruling.UNKNOWN if proof else Ruling.UNASKED) for proof in right]
        if not known:
            return verdicts
        items = tuple(
            AuditItem(asked[at].unit.name, asked[at].unit.spine, asked[at].samples) for at in known
        )
        answer = await self._asked(link, Audit(nonce=nonce, units=items), rtt_s)
        for place, (at, proof) in enumerate(zip(known, answer.proofs, strict=False)):
            if proof == right[at]:
                verdicts[at] = AuditVerdict(Ruling.PROVED, place in answer.stays)
            else:
                samples = asked[at].samples
                failed = FailedAudit(nonce, samples) if samples else None
                verdicts[at] = AuditVerdict(Ruling.LACKS, failed=failed)
        return verdicts

    async def _asked(self, link: Link, audit: Audit, rtt_s: float) -> Audited:
        """No proofs if they come late: they may be of blocks that were fetched first."""
        samples = sum(each.samples for each in audit.units)
        in_time_s = deadline_s(rtt_s, samples)
        began_s = self.clock.monotonic_s()
        try:
            async with asyncio.timeout(in_time_s + AUDIT_LOOK_S):
                answer = await link.request(audit, Audited, in_time_s + AUDIT_LOOK_S)
        except TimeoutError:
            return Audited(proofs=())
        in_time = self.clock.monotonic_s() - began_s <= in_time_s
        return answer if in_time else Audited(proofs=())

    def _right(self, who: Pairing, asked: Sequence[Sampled]) -> list[bytes]:
        """In a worker."""
        reader = SampleReader(self.completeness.disk.store, self.completeness.ledger.damage)
        until_s = self.clock.monotonic_s() + AUDIT_LOOK_S
        looked = Looked(lambda: self.clock.monotonic_s() > until_s)
        proofs: list[bytes] = []
        for each in asked:
            try:
                proofs.append(reader.proof(who, each.unit, each.samples, looked)[0])
            except TimedOut:
                proofs.append(b"")
        return proofs


def _portions(asked: Sequence[Sampled]) -> Iterator[Sequence[Sampled]]:
    """What one request may ask."""
    some: list[Sampled] = []
    samples = 0
    for each in asked:
        full = len(some) == AUDIT_UNITS_MAX or samples + each.samples > AUDIT_SAMPLES_MAX
        if some and full:
            yield some
            some, samples = [], 0
        some.append(each)
        samples += each.samples
    if some:
        yield some
