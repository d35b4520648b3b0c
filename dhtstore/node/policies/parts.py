"""The parts that keep what owners want, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.model.unit import Unit
from dhtstore.net.ports import Jump
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.identity import Identity
from dhtstore.node.keeping.ending.own import EndOwn
from dhtstore.node.policies.answering import RuleAnswers
from dhtstore.node.policies.book import PolicyBook, PolicyPlaces
from dhtstore.node.policies.ending import EndRemoved
from dhtstore.node.policies.renewing import PolicyRenewal
from dhtstore.node.ports import Ports
from dhtstore.params import POLICY_STALE_S
from dhtstore.store.ledger.charging.over import OverNotes
from dhtstore.store.ledger.tiers.looked import PoliciesLooked
from dhtstore.tasks import Supervisor


@dataclass(frozen=True, slots=True)
class Policies:
    """Of one node."""

    book: PolicyBook
    renewal: PolicyRenewal
    answers: RuleAnswers

    @classmethod
    def of(
        cls,
        identity: Identity,
        disk: Disk,
        ledger: Ledger,
        ports: Ports,
        places: PolicyPlaces,
        tasks: Supervisor,
        joined: asyncio.Event,
        kept_no_more: Callable[[list[Unit]], None],
        left: Callable[[], None],
    ) -> Policies:
        """``kept_no_more`` and ``left`` as ``EndRemoved`` has them."""
        own = EndOwn(ledger, identity.owner)
        ending = EndRemoved(disk, ledger, own, ports.clock, kept_no_more, left)
        book = PolicyBook(identity, disk, ledger, places, ports.clock, ending.heard)
        looked, rng = PoliciesLooked(ledger.table), ports.entropy.rng
        over = OverNotes(ledger.table)
        renewal = PolicyRenewal(book, over, looked, rng, tasks, ports.tracer, joined)
        return cls(book, renewal, RuleAnswers(identity, ending, ports.clock))

    async def back(self, jump: Jump, then: Callable[[Jump], None]) -> None:
        """After a long sleep, what owners want by now is looked up before ``then``."""
        try:
            if jump.asleep_s > POLICY_STALE_S:
                await self.renewal.look_up()
        finally:
            then(jump)
