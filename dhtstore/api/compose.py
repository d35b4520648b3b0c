"""The composition root: hands a Node the real world, which is keys and stores in a data directory,
sockets, clock and threads.  The command line, the Python API and tests build nodes here.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from dhtstore.api.home_ledger import DividedKeyValue, HomeLedger
from dhtstore.api.homes import keep_capacity
from dhtstore.api.logbook.logbook import Logbook
from dhtstore.api.settings.checking import disk_reserve, owners_in
from dhtstore.config import Settings
from dhtstore.config.values import host_problem
from dhtstore.errors import AddressInUse, InvalidSetting
from dhtstore.model.contact import Address, split_host_port
from dhtstore.model.network import Network
from dhtstore.net.addresses import resolve
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto, solved_seed
from dhtstore.net.interfaces.host import HostInterfaces
from dhtstore.net.ports import Entropy
from dhtstore.net.tcp import TlsTransport
from dhtstore.net.threads import ThreadBlocking
from dhtstore.net.udp import UdpEndpoint
from dhtstore.node.context import surely
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.replication.admission import Accept
from dhtstore.replication.health.periods import Periods
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.home.block_directory import mark_blocks
from dhtstore.store.home.home import KEY_SEED_BYTES, Home
from dhtstore.store.home.promised import promised_beside
from dhtstore.store.ledger.puts import PUT_ROWS
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.store.ledger.upgrade import upgrade
from dhtstore.trace import Tracer

PORT_TRIES: Final = 8  # a port that is free for UDP may be taken for TCP

_logger = logging.getLogger("dhtstore")


async def start_node(
    home: Home, owner_home: Home, settings: Settings, *, visits: HomeLedger | None = None
) -> Node:
    """A started node that lives in ``home`` and puts in the name of the owner in ``owner_home``;
    one that ``visits`` is ephemeral, and what it puts is remembered there.

    Raises HomeUnusable, InvalidSetting, UsageError, NoRoom, AddressInUse.
    """
    tries = PORT_TRIES if settings.listen.endswith(":0") else 1
    while True:
        node = await _build(home, owner_home, settings, visits)
        tries -= 1
        try:
            await node.start()
        except AddressInUse:
            await node.stop()
            if not tries:
                raise
        except BaseException:
            await node.stop()
            raise
        else:
            return node


async def _build(
    home: Home, owner_home: Home, settings: Settings, visits: HomeLedger | None
) -> Node:
    listen = (await resolve(*split_host_port(settings.listen)))[0]
    node_settings = await _node_settings(settings, ephemeral=visits is not None)
    entropy = SystemEntropy()
    clock = SystemClock()
    logbook = Logbook(_logger, clock.monotonic_s)
    kept, blocking = _Kept(logbook), ThreadBlocking()
    try:
        await blocking.run(kept.open, home, owner_home, settings, entropy)
        ports = Ports(
            clock=clock,
            entropy=entropy,
            crypto=Ed25519Crypto(kept.node_seed, kept.owner_seed),
            endpoint=UdpEndpoint(listen.host, listen.port),
            interfaces=HostInterfaces(),
            streams=TlsTransport(listen.host, kept.node_seed),
            blocking=blocking,
            store=kept.store,
            ledger=DividedKeyValue(PUT_ROWS, visits, kept.ledger) if visits else kept.ledger,
            tracer=logbook,
            keep_capacity=partial(keep_capacity, home),
        )
        return Node(ports, replace(node_settings, owners=kept.owners))
    except BaseException:
        await surely(blocking, kept.opened.close)
        await blocking.close()
        raise


class _Kept:
    """What a node finds on the disk.  Opening may take long: it goes through all that a crash or
    an earlier version left."""

    node_seed: bytes
    owner_seed: bytes
    owners: frozenset[bytes]
    store: DiskBlockStore
    ledger: SqliteKeyValue

    def __init__(self, tracer: Tracer) -> None:
        self.opened, self._tracer = ExitStack(), tracer

    def open(self, home: Home, owner_home: Home, settings: Settings, entropy: Entropy) -> None:
        """Raises HomeUnusable, InvalidSetting, NoRoom; ``opened`` is then to be closed."""
        self.owners = owners_in(settings.owners_file)
        fresh = b"" if home.has_key("node") else solved_seed(entropy.random_bytes)
        self.node_seed = home.key_seed("node", fresh)
        self.owner_seed = owner_home.key_seed("owner", entropy.random_bytes(KEY_SEED_BYTES))
        mark_blocks(home)
        # A client's store holds staging and what it pinned: only the disk limits that.
        self.store = DiskBlockStore(
            home.blocks,
            settings.capacity_bytes or None,
            beside=partial(promised_beside, home),
            disk_reserve_bytes=disk_reserve(home, settings),
        )
        self.opened.callback(self.store.close)
        self.ledger = SqliteKeyValue(home.ledger)
        self.opened.callback(self.ledger.close)
        home.upgraded()  # first: an earlier version must not write to a ledger that was rewritten
        upgrade(self.ledger, self._tracer)


async def _node_settings(settings: Settings, *, ephemeral: bool) -> NodeSettings:
    capacity = settings.capacity_bytes or 0
    limit = settings.owner_limit_bytes
    return NodeSettings(
        network=Network(settings.network),
        capacity_bytes=capacity,
        replicas=settings.replicas,
        min_acks=settings.min_acks,
        accept=Accept(settings.accept),
        owners=frozenset(),
        owner_quota_bytes=capacity if limit is None else limit,
        owner_divisor=settings.owner_divisor,
        domain=settings.domain,
        lookup_paths=settings.lookup_paths,
        advertise=await _advertised(settings.advertise),
        ephemeral=ephemeral,
        limit_up=settings.limit_up,
        limit_down=settings.limit_down,
        donate_bytes=settings.donate_bytes,
        repair_budget_bytes=settings.repair_budget_bytes,
        periods=Periods.within(settings.repair_grace_s),
    )


async def _advertised(texts: tuple[str, ...]) -> tuple[Address, ...]:
    addresses = tuple([(await resolve(*split_host_port(text)))[0] for text in texts])
    for text, address in zip(texts, addresses, strict=True):
        if problem := host_problem(address.host):
            raise InvalidSetting(f"advertise: {text}: {problem}")
    return addresses
