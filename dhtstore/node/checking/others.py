"""Whether an owner wants one copy more of what somebody else brings: this node looks for itself.

A grant lies with every holder.  Whoever has one may bring its unit to any node, so each counts the
holders that it finds and proves by itself before it takes a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from dhtstore.config import counted
from dhtstore.errors import PeerRefused, Unreachable
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import HolderChecks, Question, told_of
from dhtstore.params import (
    CHECKS_AT_ONCE,
    GRANT_LOOK_S,
    GRANT_LOOKS_AT_ONCE,
    LOOKUP_TIMEOUT_S,
    PROVIDERS_PER_KEY_MAX,
)
from dhtstore.tasks import run_all


@dataclass(frozen=True, slots=True)
class OtherHolders:
    """``checker`` is made anew for each look, ``newest`` finds what an owner wants for a root by
    now.  Looks cost dials, so only a few are under way, one
    of each origin."""

    checker: Callable[[], HolderChecks]
    newest: Callable[[bytes, bytes], Awaitable[Policy | None]]
    _looking: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(GRANT_LOOKS_AT_ONCE)
    )
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def check(
        self,
        unit: Unit,
        policy: Policy,
        origin: str,
        goes: PublicKey | None = None,
        *,
        kept: bool = False,
    ) -> int:
        """How many others hold it; nobody is asked where it is ``kept`` here anyway, since that
        makes no copy more.  Raises PeerRefused: ``enough`` where the policy's copies are
        met without this node,
        ``policy`` where there is a newer one, ``busy`` where that can't be told now.  The copy of
        who brings it and says that its own ``goes`` does not count: should that be a lie, there is
        one copy too many, which counts for all who ask after it."""
        live: set[NodeId] = set()
        try:
            async with asyncio.timeout(GRANT_LOOK_S), self._turn(origin):
                looks = [partial(self._check_newest, policy)]
                if not kept:
                    looks.append(partial(self._count, unit, policy.replicas, live, goes))
                await run_all(looks, limit=2)
        except TimeoutError:
            if not live:
                raise PeerRefused("busy", "it takes too long to look who holds it") from None
        except Unreachable as error:
            raise PeerRefused("busy", f"nobody can be asked who holds it: {error}") from error
        return len(live)

    async def _check_newest(self, policy: Policy) -> None:
        newest = await self.newest(policy.owner, policy.root)
        if newest is not None and newest.precedence > policy.precedence:
            raise PeerRefused("policy", "its owner has signed a newer policy since")

    async def _count(
        self, unit: Unit, wanted: int, live: set[NodeId], goes: PublicKey | None
    ) -> None:
        """Into ``live``, all at once, so that no silent one hides others; PeerRefused as soon as
        that is enough.  Where even by their word they are too few, nobody is asked for a block."""
        checker = self.checker()
        found = await checker.reach.dht.find_providers(
            unit.key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=LOOKUP_TIMEOUT_S
        )
        told = told_of(found.providers, checker.reach)
        for key in filter(None, (checker.identity.public_key, goes)):
            told.pop(key, None)
        proved: set[NodeId] = set()
        unproved: list[PublicKey] = []

        async def ask(key: PublicKey) -> None:
            said = await checker.check(Question(unit, put_here=True), {key: told[key]})
            if node_id(key) in said and said[node_id(key)].state == "says so":
                live.add(node_id(key))
                unproved.append(key)
            if len(live) >= wanted:
                some, unproved[:] = list(unproved), []
                await run_all([partial(look, each) for each in some], limit=CHECKS_AT_ONCE)

        async def look(key: PublicKey) -> None:
            said = await checker.check(Question(unit), {key: told[key]})
            proved.update(node for node, proof in said.items() if proof.state == "live")
            if len(proved) >= wanted:
                copies = counted(wanted, "copy", "copies")
                raise PeerRefused("enough", f"its owner wants {copies}, and others hold as many")

        await run_all([partial(ask, key) for key in told], limit=CHECKS_AT_ONCE)

    @asynccontextmanager
    async def _turn(self, origin: str) -> AsyncIterator[None]:
        own = self._turns.setdefault(origin, asyncio.Lock())
        async with own, self._looking:
            yield
