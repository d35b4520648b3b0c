"""The holder's side of an audit: blocks of units that are kept here are read and hashed.

Reading is what it costs, so that is rationed: AUDIT_READ_SHARE_PER_DAY of what is kept for all who
ask, of which no origin takes what the others need; one request is looked at at a time, and origins
take turns.  Who cannot be answered is told so: silence would be written down against this node's
copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import PeerRefused, TimedOut
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.checking.answer import GOING
from dhtstore.node.checking.reading_sample import Pairing, SampleReader
from dhtstore.node.checking.turns import OriginTurns
from dhtstore.node.copies.completeness import Completeness, Looked
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.params import AUDIT_LOOK_S, AUDIT_SAMPLES_MAX, AUDIT_WAIT_S, BLOCK_SIZE_MAX_BYTES
from dhtstore.replication.audit_ration import AuditRation
from dhtstore.wire.frames import Audit, Audited, AuditItem


@dataclass(slots=True)
class AuditAnswers:
    """``may_know`` is whether a peer may be told what is here; ``answered`` is told of each audit
    that was answered.  Who is ``leaving`` proves nothing: no other holder may drop a copy for
    it; nor may a node that leaves count on a copy that is ``going``."""

    identity: Identity
    completeness: Completeness
    clock: Clock
    may_know: Callable[[Link], bool]
    answered: Callable[[Link, Audit], None]
    leaving: Callable[[], bool] = lambda: False
    going: Callable[[bytes], bool] = lambda unit: False
    read_bytes: int = 0
    rations: Rereads = field(default_factory=Rereads)  # of units looked for, read or not
    _ration: AuditRation = field(default_factory=AuditRation)
    _turns: OriginTurns = field(default_factory=partial(OriginTurns, AUDIT_WAIT_S / 2))

    async def on_audit(self, link: Link, asked: Audit, reply: Reply) -> None:
        """Raises PeerRefused for who has asked too much, and for what takes too long."""
        if self.leaving() or not self.may_know(link):
            await reply(Audited(proofs=(b"",) * len(asked.units)))
            return
        if sum(each.samples for each in asked.units) > AUDIT_SAMPLES_MAX:
            raise PeerRefused("audit", f"more than {AUDIT_SAMPLES_MAX} blocks at once")
        if any(self.going(each.unit) for each in asked.units):
            raise PeerRefused("busy", GOING)
        if not self.rations.take(link.origin, 0, len(asked.units), self.clock.monotonic_s()):
            raise PeerRefused("busy", "this node was asked to look at much lately: ask later")
        async with self._turns.of(link.origin):
            self._check_ration(link)
            proofs = await self._proofs(link, asked)
        if any(self.going(each.unit) for each in asked.units):  # by now
            raise PeerRefused("busy", GOING)
        stays = await self.completeness.disk.blocking.run(self._stays, asked, proofs)
        await reply(Audited(proofs=proofs, stays=stays))
        self.answered(link, asked)

    def _check_ration(self, link: Link) -> None:
        now_s, kept_bytes = self.clock.monotonic_s(), self.completeness.disk.store.used_bytes
        if not self._ration.has(link.origin, kept_bytes, now_s):
            raise PeerRefused("busy", "as much as this node reads for audits was read: ask later")

    async def _proofs(self, link: Link, asked: Audit) -> tuple[bytes, ...]:
        until_s = self.clock.monotonic_s() + AUDIT_LOOK_S
        looked = Looked(lambda: self.clock.monotonic_s() > until_s)
        who = Pairing(self.identity.network, asked.nonce, link.public_key, self.identity.public_key)
        proofs: list[bytes] = []
        for item in asked.units:  # others have the worker in between
            try:
                proof, read_bytes = await self.completeness.disk.blocking.run(
                    self._look, who, item, looked
                )
            except TimedOut as error:
                raise PeerRefused("busy", "it takes this node too long to look") from error
            proofs.append(proof)
            self.read_bytes += read_bytes
            self._ration.took(link.origin, read_bytes)
        return tuple(proofs)

    def _stays(self, asked: Audit, proofs: Sequence[bytes]) -> tuple[int, ...]:
        """The places of those that are here and stay; in a worker."""
        rows, units = self.completeness.ledger.holders, zip(asked.units, proofs, strict=True)
        return tuple(
            at
            for at, (item, proof) in enumerate(units)
            if proof and rows.get((item.unit, item.spine)).stays
        )

    def _look(self, who: Pairing, item: AuditItem, looked: Looked) -> tuple[bytes, int]:
        """In a worker."""
        units = self.completeness.under(item.unit, self.identity.now_unix_s())
        for unit in units:
            if unit.spine == item.spine:
                return self._read(who, unit, item.samples, looked)
        return b"", 0

    def _read(self, who: Pairing, unit: Unit, samples: int, looked: Looked) -> tuple[bytes, int]:
        reader = SampleReader(self.completeness.disk.store, self.completeness.ledger.damage)
        proof, read_bytes = reader.proof(who, unit, samples, looked)
        return proof, min(read_bytes, samples * BLOCK_SIZE_MAX_BYTES)
