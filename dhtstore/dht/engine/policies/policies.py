"""What an owner wants for a root, at the nodes closest to a key made of both.

Anybody may store what an owner signed, and the greatest precedence wins everywhere, so nobody has
to be believed for more than a signature; who tells of none, or of an older one, hides nothing that
one honest node tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import Verdict, policy_form
from dhtstore.dht.engine.calls import Calls
from dhtstore.dht.engine.crawl import RequestBatch, within
from dhtstore.dht.engine.holding.keeping import RecordKeeper, read
from dhtstore.dht.engine.lookups import Lookups
from dhtstore.dht.engine.widening.widening import Widening
from dhtstore.model.identity import DhtKey
from dhtstore.model.policy import Policy
from dhtstore.wire.datagram import FindPolicy, FoundPolicy, Response, Stored, StorePolicy

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock

_WRONG_MAX = 64  # signatures that did not match, of one search


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """How many nodes hold the policy now, and whether somebody knows a newer one."""

    holders: int
    outrun: bool


class PolicyRecords:
    """``check_answered`` raises Unreachable for who asked in vain."""

    def __init__(
        self,
        calls: Calls,
        keeper: RecordKeeper,
        lookups: Lookups,
        widening: Widening,
        clock: Clock,
        check_answered: Callable[[int, int], None],
    ) -> None:
        self._calls, self._keeper, self._lookups = calls, keeper, lookups
        self._widening, self._clock = widening, clock
        self._check_answered = check_answered

    async def store(self, policy: Policy, timeout_s: float) -> StoredPolicy:
        """At the nodes closest to its key, this one included if it is among them.  Raises
        Unreachable when others are known and none of them answered."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        near = await self._lookups.near(policy.key, timeout_s)
        self._check_answered(near.asked, near.answered)
        nodes, _ = await self._widening.index_nodes(policy.key, near.peers, deadline_s)
        peers = [node for node in nodes if isinstance(node, Peer)]
        asked = [(peer, StorePolicy(policy.packed)) for peer in peers]
        batch = RequestBatch(self._calls, asked)
        await within(deadline_s - self._clock.monotonic_s(), batch)
        said = [each.verdict for each in batch.answers if isinstance(each, Stored)]
        self._check_answered(len(peers), len(said))  # who was near a moment before may be gone
        if len(peers) < len(nodes):
            self._keeper.tick()
            said.append(self._keeper.keep(policy).value)
        kept = said.count(Verdict.KEPT.value)
        return StoredPolicy(kept, Verdict.HELD_NEWER.value in said)

    async def find(self, key: DhtKey, timeout_s: float) -> Policy | None:
        """That of the greatest precedence that anybody tells, verified.  Raises Unreachable when
        nobody answered, unless one is known here."""
        self._keeper.tick()
        harvest = _Harvest(self._keeper, key)
        searched = await self._widening.search(key, FindPolicy(key), harvest.on_answer, timeout_s)
        if harvest.newest is None:
            self._check_answered(searched.asked, searched.answered)
        return harvest.newest


class _Harvest:
    """All that are asked are heard: one that knows of a removal outweighs all that do not."""

    def __init__(self, keeper: RecordKeeper, key: DhtKey) -> None:
        self.newest: Policy | None = keeper.policy(key)
        self._keeper, self._key, self._wrong = keeper, key, 0

    def on_answer(self, peer: Peer, response: Response) -> bool:
        policy = read(Policy, response.policy) if isinstance(response, FoundPolicy) else None
        if policy is not None and policy_form(policy) and policy.key == self._key:
            self._take(policy)
        return False

    def _take(self, policy: Policy) -> None:
        known = self.newest
        above = known is None or policy.precedence > known.precedence
        if not above or self._wrong >= _WRONG_MAX:
            return
        if self._keeper.signed(policy):
            self.newest = policy
        else:
            self._wrong += 1
