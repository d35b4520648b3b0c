"""What lies in a data directory, read while no node runs on it: by the use cases that a node has
for it, without its sockets.

Each loads what it needs only: a command is to begin within 0.15 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dhtstore.api.home_ledger import bring_up_to_date
from dhtstore.api.homes import load_settings
from dhtstore.api.settings.checking import disk_reserve
from dhtstore.config import Settings
from dhtstore.errors import HomeInUse, NotRunning, TimedOut, UsageError
from dhtstore.model.cid_path import parse_root
from dhtstore.model.contact import Address, split_host_port
from dhtstore.model.identity import format_node, node_id
from dhtstore.model.network import Network
from dhtstore.net.clock import SystemClock
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk, Ledger, surely
from dhtstore.node.throttle import Throttle
from dhtstore.node.views.copies.list_puts import put_summaries
from dhtstore.node.views.copies.safety import safety_known
from dhtstore.node.views.own_names import with_cid
from dhtstore.node.views.pins import pin_list
from dhtstore.operations import keeping, nodes
from dhtstore.operations.operation import Operation, Watch
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.home.block_directory import check_blocks, check_ledger, has_blocks
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.trace import no_trace

if TYPE_CHECKING:
    from dhtstore.net.crypto import Ed25519Signer
    from dhtstore.node.views.room import Giving

R = TypeVar("R")


class KeptHome:
    """A data directory, opened to be read.  All of it is for worker threads."""

    home: Home
    settings: Settings

    def __init__(self) -> None:
        self.opened = ExitStack()

    def open(self, path: Path) -> None:
        """Raises NotRunning where no node was, or one starts or stops; HomeUnusable,
        InvalidSetting; ``opened`` is then to be closed."""
        if not path.is_dir():
            raise NotRunning(f"no node is running here: there is no directory {path}")
        self.home = Home(path)
        check_ledger(self.home)
        if not self.home.ledger.exists():
            raise NotRunning(f"no node is running here, and none has kept anything in {path}")
        try:
            bring_up_to_date(self.home)
            self.opened.callback(self.home.lock_to_read().close)
        except HomeInUse as error:
            raise NotRunning(f"{error}, and no node answers there").hinted(
                "it may be starting or stopping: try again in a moment"
            ) from error
        self.settings = load_settings(self.home, {})

    def ledger(self, *, to_read: bool = True, own: bytes = b"") -> Ledger:
        """What is remembered there; ``own`` is the owner whose units are not those of others."""
        table = SqliteKeyValue(self.home.ledger, to_read=to_read)
        self.opened.callback(table.close)
        return Ledger.of(table, no_trace, own)

    def store(self) -> BlockStore:
        """The blocks there.  Raises HomeUnusable."""
        check_blocks(self.home)
        if not has_blocks(self.home.blocks):
            return MemoryBlockStore(None)
        from dhtstore.store.blocks.disk import DiskBlockStore

        store = DiskBlockStore(
            self.home.blocks,
            self.settings.capacity_bytes,
            disk_reserve_bytes=disk_reserve(self.home, self.settings),
            to_read=True,
        )
        self.opened.callback(store.close)
        return store

    def key(self, name: str) -> Ed25519Signer | None:
        """The node's or the owner's key; None where there is none yet."""
        if not (self.home.path / f"{name}.key").exists():
            return None
        from dhtstore.net.crypto import Ed25519Signer

        return Ed25519Signer(self.home.key_seed(name, b""))


async def read_kept(
    path: Path, operation: Operation[R], watch: Watch, timeout_s: float | None
) -> R:
    """What ``operation``, which needs no node, results in on the data directory ``path``.

    Raises NotRunning where nothing lies or something else uses it, HomeUnusable, InvalidSetting,
    TimedOut, and what the operation raises.
    """
    read = _READERS[type(operation)]
    try:
        async with asyncio.timeout(timeout_s), _kept(path) as (kept, blocking):
            throttle = Throttle(SystemClock(), watch)
            result = cast(R, await read(kept, blocking, operation, throttle))
            throttle.finish()
            return result
    except TimeoutError as error:
        raise TimedOut(f"{operation.op} was not done within {timeout_s:g} s") from error


@asynccontextmanager
async def _kept(path: Path) -> AsyncIterator[tuple[KeptHome, ThreadBlocking]]:
    kept, blocking = KeptHome(), ThreadBlocking()
    try:
        await blocking.run(kept.open, path)
        yield kept, blocking
    finally:
        await surely(blocking, kept.opened.close)
        await blocking.close()


async def _puts(
    kept: KeptHome, blocking: ThreadBlocking, asked: keeping.ListPuts, watch: Watch
) -> list[keeping.PutSummary]:
    found: list[keeping.PutSummary] = []

    async def gather(rows: list[keeping.PutSummary]) -> None:
        found.extend(rows)

    ledger = await blocking.run(kept.ledger)
    disk = _no_blocks(blocking)
    safety = await safety_known(disk, ledger, SystemClock().unix_s())
    damaged = await put_summaries(disk, ledger, gather, safety)
    if damaged:
        import logging  # where there is a damage only: without a handler it is printed to stderr

        logging.getLogger("dhtstore").warning("%s (%s)", damaged, kept.home.ledger)
    return found


async def _receipts(
    kept: KeptHome, blocking: ThreadBlocking, asked: keeping.ListReceipts, watch: Watch
) -> list[keeping.SignedReceipt]:
    from dhtstore.net.crypto import Ed25519Verifier
    from dhtstore.node.views.receipts import signed_receipts

    disk, ledger = _no_blocks(blocking), await blocking.run(kept.ledger)
    named = cast(keeping.ListReceipts, await with_cid(asked, disk, ledger))
    network, root = Network(kept.settings.network), parse_root(named.root)
    return await signed_receipts(disk, ledger, Ed25519Verifier(), network, root)


async def _pins(
    kept: KeptHome, blocking: ThreadBlocking, asked: keeping.ListPins, watch: Watch
) -> list[keeping.PinInfo]:
    return await pin_list(_no_blocks(blocking), (await blocking.run(kept.ledger)).pins)


async def _verified(
    kept: KeptHome, blocking: ThreadBlocking, asked: keeping.VerifyStore, watch: Watch
) -> keeping.VerifyResult:
    from dhtstore.node.copies.completeness import Completeness
    from dhtstore.node.flows.verify import verify
    from dhtstore.node.verified import verify_result

    disk = Disk(await blocking.run(kept.store), blocking)
    ledger = await blocking.run(lambda: kept.ledger(to_read=False))  # writes down what is damaged
    key = await blocking.run(kept.key, "node")
    complete = Completeness(disk, ledger, no_trace, node_id(key.public_key) if key else b"")
    return verify_result(await verify(complete, int(SystemClock().unix_s()), watch))


async def _status(
    kept: KeptHome, blocking: ThreadBlocking, asked: nodes.DescribeNode, watch: Watch
) -> nodes.NodeStatus:
    from dhtstore.node.views.kept_status import kept_status

    disk, key = Disk(await blocking.run(kept.store), blocking), await blocking.run(kept.key, "node")
    owner = await blocking.run(kept.key, "owner")
    own = owner.public_key if owner else b""
    return await kept_status(
        disk,
        await blocking.run(lambda: kept.ledger(own=own)),
        node=format_node(node_id(key.public_key)) if key else "",
        network=kept.settings.network,
        giving=_giving(kept.settings),
        now_unix_s=SystemClock().unix_s(),
    )


def _giving(settings: Settings) -> Giving:
    from dhtstore.node.views.room import Giving

    capacity_bytes, limit_bytes = settings.capacity_bytes or 0, settings.owner_limit_bytes
    return Giving(
        settings.accept, capacity_bytes, capacity_bytes if limit_bytes is None else limit_bytes
    )


async def _identity(
    kept: KeptHome, blocking: ThreadBlocking, asked: nodes.IdentifyNode, watch: Watch
) -> nodes.NodeIdentity:
    from dhtstore.node.views.identity import identity_of

    node, owner = await blocking.run(kept.key, "node"), await blocking.run(kept.key, "owner")
    if node is None or owner is None:
        raise NotRunning(f"no node is running here, and none ever did in {kept.home.path}")
    addresses = await _addresses(kept.settings, blocking)
    return identity_of(node.public_key, owner.public_key, kept.settings.network, addresses)


async def _addresses(settings: Settings, blocking: ThreadBlocking) -> tuple[Address, ...]:
    """What a node with these settings tells others; nothing where that shows only when it runs."""
    from dhtstore.net.addresses import advertised
    from dhtstore.net.interfaces.host import HostInterfaces

    with suppress(UsageError):
        if settings.advertise:
            return tuple([await _resolved(text) for text in settings.advertise])
        listen = await _resolved(settings.listen)
        if listen.port:
            return advertised(listen, await blocking.run(HostInterfaces().hosts))
    return ()


async def _resolved(text: str) -> Address:
    from dhtstore.net.addresses import resolve

    return (await resolve(*split_host_port(text)))[0]


def _no_blocks(blocking: ThreadBlocking) -> Disk:
    """For what is answered from the ledger alone."""
    return Disk(MemoryBlockStore(None), blocking)


_READERS: Final[dict[type[Operation[Any]], Callable[..., Awaitable[object]]]] = {
    keeping.ListPuts: _puts,
    keeping.ListReceipts: _receipts,
    keeping.ListPins: _pins,
    keeping.VerifyStore: _verified,
    nodes.DescribeNode: _status,
    nodes.IdentifyNode: _identity,
}
