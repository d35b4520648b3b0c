"""The composition root: hands a Node the real world, which is keys and stores in a data directory,
sockets, clock and threads.  The command line, the Python API and tests build nodes here.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from dhtstore.api.home_ledger import DividedKeyValue, HomeLedger
from dhtstore.api.logbook.logbook import Logbook
from dhtstore.config import Settings
from dhtstore.config.values import host_problem
from dhtstore.errors import AddressInUse, InvalidSetting
from dhtstore.model.contact import Address, split_host_port
from dhtstore.model.network import Network
from dhtstore.net.addresses import resolve
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.interfaces.host import HostInterfaces
from dhtstore.net.ports import Entropy
from dhtstore.net.tcp import TlsTransport
from dhtstore.net.threads import ThreadBlocking
from dhtstore.net.udp import UdpEndpoint
from dhtstore.node.context import surely
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.params import PUBLIC_KEY_BYTES
from dhtstore.replication.admission import Accept
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
        self.owners = _owners(settings.owners_file)
        self.node_seed = home.key_seed("node", entropy.random_bytes(KEY_SEED_BYTES))
        self.owner_seed = owner_home.key_seed("owner", entropy.random_bytes(KEY_SEED_BYTES))
        mark_blocks(home)
        # A client's store holds staging and what it pinned: only the disk limits that.
        self.store = DiskBlockStore(
            home.blocks, settings.capacity_bytes or None, beside=partial(promised_beside, home)
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
        domain=settings.domain,
        advertise=await _advertised(settings.advertise),
        ephemeral=ephemeral,
    )


async def _advertised(texts: tuple[str, ...]) -> tuple[Address, ...]:
    addresses = tuple([(await resolve(*split_host_port(text)))[0] for text in texts])
    for text, address in zip(texts, addresses, strict=True):
        if problem := host_problem(address.host):
            raise InvalidSetting(f"advertise: {text}: {problem}")
    return addresses


def _owners(file: str) -> frozenset[bytes]:
    """Public keys in hex, one a line; # starts a comment.  Raises InvalidSetting."""
    if not file:
        return frozenset()
    try:
        path = Path(file).expanduser()
        if not path.is_absolute():  # else where a node is started decides whose data it takes
            raise ValueError("name it by its whole path")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidSetting(f"accept: cannot read owners from {file}: {error}").hinted(
            "'owners FILE' names, by its whole path, a file of public keys in hex, one a line"
        ) from error
    words = [line.partition("#")[0].strip() for line in lines]
    numbered = enumerate(words, start=1)
    return frozenset(_owner(word, f"{file}, line {number}") for number, word in numbered if word)


def _owner(word: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(word)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        what = f"{word[:80]!r} is no public key: 64 hex digits, as `dhtstore id` prints"
        raise InvalidSetting(f"accept: {where}: {what}")
    return key
