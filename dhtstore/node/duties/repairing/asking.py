"""Who else holds a unit, and what each of them proves."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import told_of
from dhtstore.node.checking.audit_ask import Auditor, Ruling, Sampled
from dhtstore.node.context import Reach
from dhtstore.node.duties.repairing.fellows import KnownFellows
from dhtstore.node.duties.repairing.watching import Judge, Said, Watched
from dhtstore.node.identity import Identity
from dhtstore.params import (
    CHECKS_AT_ONCE,
    HOLDERS_KNOWN_MAX,
    HOLDERS_TOLD_MIN,
    LOOKUP_TIMEOUT_S,
    RPC_TIMEOUT_MAX_S,
)
from dhtstore.replication.auditing import samples, slot_unix_s
from dhtstore.replication.health.periods import Periods
from dhtstore.store.ledger.health.holders import HolderRow
from dhtstore.tasks import run_all

_FRESH_SAMPLES: Final = 4  # before something is done about a unit
_WHY: Final = "it does not have it whole, or leaves"
Asked = Mapping[PublicKey, Sequence[tuple[Watched, int]]]  # units, and how many of their blocks


@dataclass(frozen=True, slots=True)
class Asking:
    """Lookups and audits of this node.  ``untold`` is told of units that are held here though
    hardly anybody says so."""

    identity: Identity
    reach: Reach
    auditor: Auditor
    fellows: KnownFellows
    judge: Judge
    periods: Periods
    rng: random.Random
    untold: Callable[[Unit], None]

    async def look(self, one: Watched) -> None:
        """Look up who says that it holds the unit, those that are silent, too: a holder that just
        went is not to be replaced.  Where nobody answers nothing is known of it."""
        try:
            found = await self.reach.dht.find_providers(
                one.unit.key, wanted=HOLDERS_KNOWN_MAX, timeout_s=LOOKUP_TIMEOUT_S, silent=True
            )
        except DhtstoreError:
            return
        places = told_of(found.providers, self.reach)
        places.pop(self.identity.public_key, None)
        if found.told_of_us < min(HOLDERS_TOLD_MIN, found.answered):
            self.untold(one.unit)  # who put it could tell few of this copy, or these forgot it
        for key, told in places.items():
            self.fellows.told(key, told)
        self.judge.found(one, list(places), self.identity.now_unix_s())
        await self.fellows.meet(places)

    def due(self, units: Iterable[Watched]) -> Asked:
        """Which audits are due of these: of every peer that answers, all units at once."""
        asked: dict[PublicKey, list[tuple[Watched, int]]] = {}
        for one in units:
            for row in one.row.holders:
                key = PublicKey(row.key)
                if self._is_due(row) and self.fellows.answers(key):
                    asked.setdefault(key, []).append((one, self._samples(one, row)))
        return asked

    async def back(
        self, key: PublicKey, places: Sequence[Address], units: Iterable[Watched]
    ) -> Asked:
        """Ask a holder that has just asked about these, and so says that it holds them: the audits
        that are due, and a block of each copy that was not known; what it was asked."""
        asked = self._due_back(key, units)
        if asked:
            self.fellows.told(key, places)
        await self.audit(asked)
        return asked

    def _due_back(self, key: PublicKey, units: Iterable[Watched]) -> Asked:
        asked: list[tuple[Watched, int]] = []
        for one in units:
            known = [row for row in one.row.holders if row.key == key]
            if any(map(self._is_due, known)):
                asked.append((one, self._samples(one, *known)))
            elif not known:
                asked.append((one, max(1, self._samples(one))))
        return {key: asked} if asked else {}

    def _is_due(self, row: HolderRow) -> bool:
        """Also where the last was at a time that is to come: the clock was ahead then."""
        slot_unix_s = self._slot_unix_s(PublicKey(row.key))
        return not slot_unix_s <= row.audited_unix_s <= self.identity.now_unix_s()

    def _samples(self, one: Watched, *rows: HolderRow) -> int:
        """A block at least of whom failed, or was asked in vain: who has none must not choose its
        audits."""
        usual = samples(one.claim.blocks, one.target, self.periods.audit_every_s, self.rng)
        return max(usual, int(any(row.vain or row.lacks for row in rows)))

    def _slot_unix_s(self, key: PublicKey) -> float:
        now = self.identity.now_unix_s()
        return slot_unix_s(self.identity.public_key, key, self.periods.audit_every_s, now)

    async def afresh(self, one: Watched, *, again: bool = False) -> set[PublicKey]:
        """Whatever is to be done about a unit, this node looks itself first: who holds it now, who
        is back, what each of them proves by some blocks.  Those that answer: with ``again`` just
        now, and not only in this turn."""
        await self.look(one)
        answer = await self.fellows.ask(one.holders, again=again)
        asked = {key: [(one, _FRESH_SAMPLES)] for key in one.holders if self.fellows.answers(key)}
        await self.audit(asked, due=False)
        return answer

    async def audit(self, asked: Asked, *, due: bool = True) -> None:
        """Ask them, and take down what they prove; where it is ``due``, also that they do not."""
        work = [partial(self._audit, key, units, due) for key, units in asked.items()]
        await run_all(work, limit=CHECKS_AT_ONCE)

    async def _audit(self, key: PublicKey, units: Sequence[tuple[Watched, int]], due: bool) -> None:
        fellow = self.fellows.of(key)
        if fellow.place is None:
            return
        places = self.fellows.places(Contact.of(key, fellow.place))
        asked = [Sampled(one.unit, count, one.failed(key)) for one, count in units]
        rtt_s = min(fellow.rtt_s, RPC_TIMEOUT_MAX_S)
        verdicts = await self.auditor.audit(key, places, asked, rtt_s)
        now = self.identity.now_unix_s()
        if any(verdict.ruling is Ruling.PROVED for verdict in verdicts):
            self.fellows.answered(key)
        for (one, count), (ruling, stays, failed) in zip(units, verdicts, strict=True):
            if ruling is Ruling.PROVED:
                self.judge.audited(one, key, Said(stays=stays, by_block=count > 0), now)
            elif ruling is Ruling.LACKS:
                self.judge.audited(one, key, Said(_WHY, failed=failed), now)
            elif due and ruling in (Ruling.UNKNOWN, Ruling.SILENT):
                self.judge.in_vain(one, key)
