"""The holder's side: an owner tells what it wants from now on, or that it wants no more.

data path: Rule -> is anything here under that owner and root? -> signature -> in force -> of the
units that it names, the owner's claims are counted, or ended -> Ruled.  Whoever brings it: the
signature is the owner's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from dhtstore.dht.core.record_rules import policy_form
from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.copies.rereads import Rereads
from dhtstore.node.identity import Identity
from dhtstore.node.links.link import Link
from dhtstore.node.links.peer_requests import Reply
from dhtstore.node.policies.ending import EndRemoved
from dhtstore.wire.frames import Rule, Ruled

_OTHERS_COUNTED_MAX: Final = 64  # of one unit: what one question costs is bounded


@dataclass(frozen=True, slots=True)
class RuleAnswers:
    """Answers ``Rule``."""

    identity: Identity
    ending: EndRemoved
    clock: Clock
    rations: Rereads = field(default_factory=Rereads)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_rule(self, link: Link, asked: Rule, reply: Reply) -> None:
        """Raises InvalidSignature, RemoteProtocolError, PeerRefused."""
        run, policy = self.ending.disk.blocking.run, unpack(Policy, asked.policy)
        if not self.rations.take(link.origin, 0, 1 + len(asked.units), self.clock.monotonic_s()):
            raise PeerRefused("busy", "this node was told much lately: tell it later")
        if not policy_form(policy):
            raise PeerRefused("policy", "it wants what no owner can want")
        async with self._one:
            ruled, units, news = await run(self._ruled, policy, asked.units)
        self.ending.told(units)
        if units or ruled.claims or (news and policy.removed):
            self.ending.left()
        await reply(ruled)

    def _ruled(self, policy: Policy, names: tuple[bytes, ...]) -> tuple[Ruled, list[Unit], bool]:
        """The answer, the units whose claims have ended, and whether it is news; in a worker."""
        claims, names = self.ending.ledger.claims, tuple(dict.fromkeys(names))
        known = claims.policy(policy.owner, policy.root)
        if known is None:
            return Ruled(), [], False  # who has no word of an owner that counts here learns nothing
        if known.precedence > policy.precedence:
            return Ruled(newer=known.packed), [], False
        if known != policy:
            self.identity.check(policy)
            claims.update(policy)
        owned = self.ending.of(policy, names)
        units = self.ending.end(owned) if policy.removed else []
        units += self.ending.heed(policy.owner, Cid(policy.root))
        ruled = Ruled(claims=len(owned), others=self._others(policy.owner, names))
        return ruled, list(dict.fromkeys(units)), known != policy

    def _others(self, owner: bytes, names: tuple[bytes, ...]) -> int:
        """How many claims of other owners on these units stand."""
        now_unix_s, count = self.identity.now_unix_s(), 0
        for name in names:
            found = islice(self.ending.ledger.claims.for_unit(name), _OTHERS_COUNTED_MAX)
            count += sum(c.policy.owner != owner and c.policy.active(now_unix_s) for c in found)
        return count
