"""Nodes inside this process: one that lives in a data directory, one that lives for a visit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

from dhtstore.api.compose import start_node
from dhtstore.api.homes import keep_settings, load_settings
from dhtstore.config import Settings
from dhtstore.errors import TimedOut
from dhtstore.model.identity import PublicKey
from dhtstore.net.local.server import LocalServer
from dhtstore.node.control import handler
from dhtstore.node.flows.join import Joined, Trust
from dhtstore.node.flows.meet import LearnSeed
from dhtstore.node.node import Node
from dhtstore.node.views.status import look_at_clock, look_for_room
from dhtstore.node.warnings import Warnings
from dhtstore.store.home.home import Home
from dhtstore.store.home.places import free_bytes, temporary_home
from dhtstore.wire.ticket import Ticket, looks_like_ticket


@dataclass(frozen=True, slots=True)
class Hosted:
    """A node that serves, and what came of its joining."""

    node: Node
    joined: Joined


@asynccontextmanager
async def hosted(
    path: Path,
    seeds: Sequence[str],
    flags: Mapping[str, object],
    learn_seed: LearnSeed,
    source: str = "command line",
) -> AsyncIterator[Hosted]:
    """A storage node or client that lives in the data directory ``path`` and serves its local
    socket; stopped cleanly at the end.

    ``flags`` are settings as a command line gives them, ``source`` is who does; those of a first
    start that worked are kept.  Keys of HOST:PORT seeds are pinned there, new ones told to
    ``learn_seed``.  Raises HomeUnusable, HomeInUse, InvalidSetting, AddressInUse, NoRoom and what
    ``join`` raises.
    """
    home = Home(path)
    with closing(home.lock()):
        settings = _decided(home, load_settings(home, flags, source))
        node = await start_node(home, home, settings)
        local = LocalServer(home.socket_path, handler(node))
        try:
            await look_for_room(node.disk, node.warnings)
            joined = await node.join(seeds, trust_in(home, learn_seed, node.warnings))
            look_at_clock(node.dht, node.warnings)
            await local.open(node.duties)
            with node.warnings.tolerated("settings", "the settings cannot be written down"):
                keep_settings(home, settings)
            yield Hosted(node, joined)
        finally:
            try:
                await local.close()
            finally:
                await node.stop()


@asynccontextmanager
async def visiting(
    owner_path: Path,
    seeds: Sequence[str],
    network: str,
    learn_seed: LearnSeed,
    timeout_s: float | None = None,
) -> AsyncIterator[Hosted]:
    """A client that joins through ``seeds`` for a short while, in a directory that goes with it.

    It puts in the name of the owner in ``owner_path``, where the keys of HOST:PORT seeds are
    pinned too.  ``network`` "" is that of the first ticket.  Raises as ``hosted``, and TimedOut
    when the seeds do not answer within ``timeout_s``.
    """
    owner_home = Home(owner_path)
    flags = {"network": network or _network_of(seeds)}
    settings = _visitor(load_settings(owner_home, flags), seeds)
    with temporary_home() as home:
        node = await start_node(home, owner_home, settings, ephemeral=True)
        try:
            trust = trust_in(owner_home, learn_seed, node.warnings)
            joined = await _joined(node, seeds, trust, timeout_s)
            yield Hosted(node, joined)
        finally:
            await node.stop()


def trust_in(home: Home, learn_seed: LearnSeed, warnings: Warnings) -> Trust:
    """The keys of seeds that ``home`` knows; new ones are written there and told."""

    def learn(seed: str, key: PublicKey) -> None:
        with warnings.tolerated("seeds", f"the key of {seed} cannot be written down"):
            home.save_trusted_seeds({**home.trusted_seeds(), seed: key})
        learn_seed(seed, key)

    return Trust(home.trusted_seeds(), learn)


def _decided(home: Home, settings: Settings) -> Settings:
    """What a first start leaves open: the disk to give is half of what is free now."""
    if settings.capacity_bytes is not None:
        return settings
    return replace(settings, capacity_bytes=free_bytes(home.path) // 2)


async def _joined(
    node: Node, seeds: Sequence[str], trust: Trust, timeout_s: float | None
) -> Joined:
    try:
        async with asyncio.timeout(timeout_s):
            return await node.join(seeds, trust)
    except TimeoutError as error:
        raise TimedOut(f"the seeds did not answer within {timeout_s:g} s") from error


def _network_of(seeds: Sequence[str]) -> str:
    """The network that the first ticket is for; "" without one."""
    tickets = [Ticket.parse(seed) for seed in seeds if looks_like_ticket(seed)]
    return tickets[0].network if tickets else ""


def _visitor(settings: Settings, seeds: Sequence[str]) -> Settings:
    """Any port, no disk, and a socket of the family the seeds are of."""
    six = any(seed.startswith("[") for seed in seeds) or any(
        ":" in address.host
        for seed in seeds
        if looks_like_ticket(seed)
        for address in Ticket.parse(seed).addresses
    )
    listen = "[::]:0" if six else "0.0.0.0:0"
    return replace(settings, listen=listen, advertise=(), capacity_bytes=0)
