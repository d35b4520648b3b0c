"""A small world with one adversary, for tests that ask it something over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.model.contact import Contact
from dhtstore.model.identity import DhtKey
from dhtstore.wire.datagram import Request, Response
from simulations.lab.one_run.recorder import Recorder
from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.nodes.warm_start import start_all
from simulations.scenario import from_tables
from simulations.world.loop.virtual_loop import run
from simulations.world.trace import Trace

Story = Callable[["Stage"], Awaitable[None]]


class Stage:
    """``adversary`` is the only one; the others are honest."""

    def __init__(self, behaviour: str, nodes: int, **settings: Any) -> None:
        tables = {
            "run": {"nodes": nodes},
            "adversary": {"share": 1 / nodes, "behaviours": behaviour, **settings},
        }
        scenario = from_tables(tables)
        self.world = World(scenario, 1, Path(), Trace(), Recorder(None))
        members = self.world.population.members
        (self.adversary,) = [one for one in members if one.disguise is not None]
        self.honest = [one for one in members if one.disguise is None]

    async def attack(self) -> None:
        await self.world.attack.run(self.world, 1)

    async def ask(
        self, request: Request, *, by: Member | None = None, of: Member | None = None
    ) -> Response:
        """One request over the wire, by an honest node of the adversary; raises as the node's own
        call does."""
        asker, answerer = by or self.honest[0], of or self.adversary
        call = asker.running.dht.rpc.calls.call(peer(answerer), request)
        return await self.world.population.run(asker.number, call)

    def pair_of(self, member: Member, key: DhtKey) -> tuple[Any, Any]:
        """Its own word that it provides ``key``, and how to reach it."""
        identity = member.running.identity
        return identity.provider_record(key), identity.record()


def play(behaviour: str, story: Story, nodes: int = 8, **settings: Any) -> None:
    """Warm tables, then the story, then the end of everything."""
    stage = Stage(behaviour, nodes, **settings)
    world = stage.world

    async def whole() -> None:
        await start_all(world.population, range(nodes))
        async with asyncio.timeout(1e6):
            await story(stage)
        await world.attack.close()
        await world.population.stop()

    run(whole(), world.loop)


def peer(member: Member) -> Peer:
    return peer_of(Contact.of(member.crypto.node.public_key, member.address, storage=True))
