"""Nodes inside this process: one that lives in a data directory, one that lives for a visit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dhtstore.api.compose import start_node
from dhtstore.api.home_ledger import HomeLedger
from dhtstore.api.homes import keep_settings, load_settings
from dhtstore.api.settings.checking import check_capacity, default_capacity, no_default
from dhtstore.config import Settings
from dhtstore.errors import TimedOut
from dhtstore.model.identity import PublicKey, format_node
from dhtstore.net.local.server import LocalServer
from dhtstore.net.ports import Blocking
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import surely
from dhtstore.node.control import handler
from dhtstore.node.flows.join import Joined, Trust
from dhtstore.node.flows.meet import LearnSeed
from dhtstore.node.node import Node
from dhtstore.node.views.room import look_for_room
from dhtstore.node.views.status import look_at_clock
from dhtstore.params import LEFT_ANSWER_S, LOOKUP_TIMEOUT_S
from dhtstore.store.home.home import Home
from dhtstore.store.home.lock import HomeLock
from dhtstore.store.home.places import temporary_home
from dhtstore.store.home.promised import promising
from dhtstore.wire.ticket import Ticket, looks_like_ticket


@dataclass(frozen=True, slots=True)
class Hosted:
    """A node that serves, and what came of its joining; one for a visit remembers its puts in the
    ledger that it ``visits``.  ``no_disk`` is why it gives none, where nobody said how much."""

    node: Node
    joined: Joined
    visits: HomeLedger | None = None
    no_disk: str = ""


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
    async with (
        _worker() as blocking,
        _locked_home(path, blocking) as home,
        _decided(home, flags, source, blocking) as (settings, no_disk),
    ):
        node = await start_node(home, home, settings)
        local = LocalServer(await blocking.run(_socket_path, home), handler(node))
        try:
            await look_for_room(node.disk, node.warnings)
            async with trust_in(home, learn_seed, node) as trust:
                joined = await node.join(seeds, trust)
            look_at_clock(node.dht, node.warnings)
            await local.open(node.duties)
            await _keep_settings(node, home, settings)
            _tell_joined(node, joined)
            yield Hosted(node, joined, no_disk=no_disk)
        finally:
            node.ports.tracer("node.stopping")
            try:
                await local.close(LEFT_ANSWER_S if node.leaving.left.done() else 0.0)
            finally:
                await node.stop()


async def _keep_settings(node: Node, home: Home, settings: Settings) -> None:
    """Write them down; where the disk takes them not, again when somebody asks for warnings."""

    async def keep() -> None:
        with node.warnings.tolerated("settings", "the settings cannot be written down"):
            await node.ports.blocking.run(keep_settings, home, settings)

    node.warnings.can_be_tried("settings", keep)
    await keep()


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
    pinned too, and what is put is remembered: ``Hosted.visits`` is to ``begin`` before.
    ``network`` "" is that of the first ticket.  Raises as ``hosted``, and TimedOut
    when the seeds do not answer within ``timeout_s``.
    """
    flags = {"network": network or _network_of(seeds)}
    async with _worker() as blocking, _temporary_home(blocking) as home:
        owner_home = await blocking.run(Home, owner_path)
        settings = _visitor(await blocking.run(load_settings, owner_home, flags), seeds)
        visits = HomeLedger(owner_path)
        node = await start_node(home, owner_home, settings, visits=visits)
        try:
            async with trust_in(owner_home, learn_seed, node) as trust:
                joined = await _joined(node, seeds, trust, timeout_s)
            async with _policies_told(node):
                yield Hosted(node, joined, visits)
        finally:
            await node.stop()


@asynccontextmanager
async def _policies_told(node: Node) -> AsyncIterator[None]:
    """Without the record of what was put, nobody but its holders knows what its owner wants.  Who
    is interrupted waits for nothing."""
    try:
        yield
    except Exception:
        await node.policies.renewal.settle(LOOKUP_TIMEOUT_S)
        raise
    await node.policies.renewal.settle(LOOKUP_TIMEOUT_S)


def _tell_joined(node: Node, joined: Joined) -> None:
    at = " ".join(str(each) for each in node.addresses())
    told = {"node": format_node(node.node_id), "at": at, "answered": joined.answered}
    node.ports.tracer("node.joined", network=node.settings.network.name, **told)


@asynccontextmanager
async def trust_in(home: Home, learn_seed: LearnSeed, node: Node) -> AsyncIterator[Trust]:
    """The keys of seeds that ``home`` knows; new ones are told, and written there at the end."""
    run, learned = node.disk.blocking.run, dict[str, PublicKey]()

    def learn(seed: str, key: PublicKey) -> None:
        learned[seed] = key
        learn_seed(seed, key)

    def save() -> None:
        home.save_trusted_seeds({**home.trusted_seeds(), **learned})

    try:
        yield Trust(await run(home.trusted_seeds), learn)
    finally:
        if learned:
            names = ", ".join(learned)
            with node.warnings.tolerated("seeds", f"the key of {names} cannot be written down"):
                await surely(node.disk.blocking, save)


@asynccontextmanager
async def _worker() -> AsyncIterator[Blocking]:
    """Where the data directory is read and written besides the node, whose own worker comes and
    goes with it."""
    blocking = ThreadBlocking()
    try:
        yield blocking
    finally:
        await blocking.close()


@asynccontextmanager
async def _locked_home(path: Path, blocking: Blocking) -> AsyncIterator[Home]:
    """The home there, and nobody else uses its stores meanwhile."""
    locks: list[HomeLock] = []

    def lock() -> Home:
        home = Home(path)
        locks.append(home.lock())
        return home

    try:
        yield await blocking.run(lock)
    finally:
        for each in locks:
            each.close()


@asynccontextmanager
async def _temporary_home(blocking: Blocking) -> AsyncIterator[Home]:
    """One that goes at the end."""
    made = ExitStack()
    try:
        yield await blocking.run(made.enter_context, temporary_home())
    finally:
        await surely(blocking, made.close)


def _socket_path(home: Home) -> Path:
    return home.socket_path


@asynccontextmanager
async def _decided(
    home: Home, flags: Mapping[str, object], source: str, blocking: Blocking
) -> AsyncIterator[tuple[Settings, str]]:
    """What to live by, and why no disk was left to give by default.  Other nodes see meanwhile what
    it promises of the disk."""
    settings, no_disk = await blocking.run(_settings, home, flags, source)
    made = ExitStack()
    try:
        await blocking.run(made.enter_context, promising(home, settings.capacity_bytes or 0))
        yield settings, no_disk
    finally:
        await surely(blocking, made.close)


def _settings(home: Home, flags: Mapping[str, object], source: str) -> tuple[Settings, str]:
    """What a first start leaves open is decided; why that gives no disk."""
    settings = load_settings(home, flags, source)
    if flags.get("capacity"):  # not one of a file: a disk that was swapped must not end a node
        check_capacity(home, settings, source)
    if settings.capacity_bytes is not None:
        return settings, ""
    capacity_bytes = default_capacity(home)
    no_disk = "" if capacity_bytes else no_default(home)
    return replace(settings, capacity_bytes=capacity_bytes), no_disk


async def _joined(
    node: Node, seeds: Sequence[str], trust: Trust, timeout_s: float | None
) -> Joined:
    try:
        async with asyncio.timeout(timeout_s):
            return await node.join(seeds, trust)
    except TimeoutError as error:
        raise TimedOut(f"the seeds did not answer within {timeout_s:g} s").hinted(
            "check the seeds and this machine's connection, or give it longer with --timeout"
        ) from error


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
