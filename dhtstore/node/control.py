"""The commands of this machine's user, each mapped to one use case.

The same table serves the local socket of a running node and a node that lives for one command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dhtstore.errors import (
    DhtstoreError,
    QuorumNotReached,
    RemoteProtocolError,
    TargetUnusable,
    TimedOut,
    UsageError,
)
from dhtstore.model.cid import Cid, parse_cid_path
from dhtstore.net.local.pipes import read_pipe
from dhtstore.net.local.server import Handler, Send
from dhtstore.node.flows.get import get
from dhtstore.node.flows.ping import ping
from dhtstore.node.flows.progress import Progress
from dhtstore.node.flows.put import PutResult
from dhtstore.node.flows.read import cat
from dhtstore.node.flows.verify import verify
from dhtstore.node.importing.files import Source
from dhtstore.node.node import Node
from dhtstore.node.views.describe import describe, list_directory
from dhtstore.node.views.identity import identity
from dhtstore.node.views.list_puts import list_puts
from dhtstore.node.views.peers import peers
from dhtstore.node.views.providers import providers
from dhtstore.node.views.receipt_view import ReceiptView
from dhtstore.node.views.receipts import receipts
from dhtstore.node.views.status import node_status, root_status
from dhtstore.store.files.source import FileSource, TreeSource
from dhtstore.wire import control

PROGRESS_INTERVAL_S: Final = 0.1

Watch = Callable[[control.Progress], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request at work.  A use case that closes a descriptor itself takes it with ``take``;
    the others are closed by whoever received them."""

    node: Node
    request: control.Request
    descriptors: list[int]
    watch: Watch

    @property
    def path(self) -> tuple[Cid, tuple[str, ...]]:
        """What the request is about; raises InvalidCid."""
        return parse_cid_path(self.request.target)

    @property
    def root(self) -> Cid:
        return self.path[0]

    @property
    def descriptor(self) -> int:
        """The descriptor passed along; raises UsageError if the request came without."""
        if not self.descriptors:
            raise UsageError(f"{self.request.op} needs an open file")
        return self.descriptors[0]

    def take(self) -> int:
        """Own the descriptor: whoever takes it closes it."""
        descriptor = self.descriptor
        self.descriptors.remove(descriptor)
        return descriptor

    def progress(self, progress: Progress) -> None:
        self.watch(
            control.Progress(
                progress.phase, progress.done_bytes, progress.total_bytes, progress.holders
            )
        )


@dataclass(frozen=True, slots=True)
class PutView:
    """What put prints: ``replicas`` counts verified copies, the minimum over units."""

    cid: str
    size: int
    replicas: int
    wanted: int
    min_acks: int
    receipts: list[ReceiptView]
    causes: dict[str, str]

    @classmethod
    def of(cls, result: PutResult) -> PutView:
        return cls(
            cid=str(result.cid),
            size=result.size_bytes,
            replicas=result.copies,
            wanted=result.replicas,
            min_acks=result.min_acks,
            receipts=[ReceiptView.of(receipt) for receipt in result.receipts],
            causes=dict(result.causes),
        )


def handler(node: Node) -> Handler:
    """What the local socket of ``node`` does with each request."""

    async def handle(body: bytes, descriptors: list[int], send: Send) -> None:
        throttled = _Throttle(node, lambda progress: send(control.encode(progress)))
        try:
            request = control.decode_request(body)
            if request.descriptors != len(descriptors):
                raise RemoteProtocolError("a local request without its descriptors")
            value = await perform(node, request, descriptors, throttled)
        except Exception as error:
            send(control.encode(control.failure_of(error)))
            if not isinstance(error, DhtstoreError):
                raise  # a bug: whoever runs the node shall see where
        else:
            send(control.encode(control.Result(value)))

    return handle


async def perform(
    node: Node, request: control.Request, descriptors: list[int], watch: Watch
) -> Any:
    """Do what the request asks; the result in plain JSON types.  Raises what the use case
    raises, TimedOut at the request's deadline, UsageError for an unknown ``op``."""
    operation = OPERATIONS.get(request.op)
    if operation is None:
        raise UsageError(f"this node knows no command {request.op!r}; is it of another version?")
    try:
        async with asyncio.timeout(request.timeout_s):
            value = await operation(Call(node, request, descriptors, watch))
    except TimeoutError as error:
        raise TimedOut(f"{request.op} was not done within {request.timeout_s:g} s") from error
    return msgspec.to_builtins(value, enc_hook=str)


class _Throttle:
    """Passes on what is worth seeing: the first of each phase, then one in a while."""

    def __init__(self, node: Node, watch: Watch) -> None:
        self._clock, self._watch = node.ports.clock, watch
        self._phase, self._due_s = "", 0.0

    def __call__(self, progress: control.Progress) -> None:
        now_s = self._clock.monotonic_s()
        if progress.phase != self._phase or now_s >= self._due_s:
            self._phase, self._due_s = progress.phase, now_s + PROGRESS_INTERVAL_S
            self._watch(progress)


async def _put(call: Call) -> PutView:
    source = _source(call)
    request = call.request
    try:
        result = await call.node.uploader().put(
            source,
            name=request.name,
            replicas=request.replicas,
            min_acks=request.min_acks,
            progress=call.progress,
        )
    except QuorumNotReached as error:
        if isinstance(error.partial, PutResult):
            error.partial = PutView.of(error.partial)
        raise
    finally:
        if isinstance(source, FileSource | TreeSource):
            await call.node.ports.blocking.run(source.close)
    return PutView.of(result)


def _source(call: Call) -> Source:
    kind, name = call.request.kind, call.request.name
    if kind == "stream":
        return read_pipe(call.descriptor)
    if kind == "file":
        return FileSource(call.take(), name)
    if kind == "directory":
        return TreeSource(call.take(), name)
    raise UsageError(f"this node cannot put a {kind!r}")


async def _get(call: Call) -> Any:
    root, names = call.path
    async with call.node.fetch_session() as session:
        got = await get(
            session,
            root,
            names,
            call.descriptor,
            _file_name(call.request.name),
            timeout_s=call.request.timeout_s,
            progress=call.progress,
        )
        if call.request.pin:
            await call.node.pinning().add(session, got.cid, call.request.name, call.progress)
    return got


def _file_name(name: str) -> str:
    """The target lies in the directory that was passed, nowhere else."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise TargetUnusable(f"{name!r} is no name for a file")
    return name


async def _cat(call: Call) -> Any:
    root, names = call.path
    async with call.node.fetch_session() as session:
        return await cat(session, root, names, call.take(), timeout_s=call.request.timeout_s)


async def _list(call: Call) -> Any:
    return await list_puts(call.node)


async def _ls(call: Call) -> Any:
    async with call.node.fetch_session() as session:
        return await list_directory(session, *call.path)


async def _stat(call: Call) -> Any:
    async with call.node.fetch_session() as session:
        return await describe(session, *call.path)


async def _providers(call: Call) -> Any:
    async with call.node.fetch_session() as session:
        return await providers(session, call.node.dht, *call.path)


async def _receipts(call: Call) -> Any:
    return await receipts(call.node, call.root)


async def _status(call: Call) -> Any:
    node = call.node
    if call.request.target:
        async with node.fetch_session() as session:
            return await root_status(session, node.puts, node.dht, call.root)
    return await node_status(
        node.disk,
        node.ledger,
        node.identity,
        node.dht,
        capacity_bytes=node.settings.capacity_bytes,
        uptime_s=node.ports.clock.monotonic_s() - node.started_s,
    )


async def _peers(call: Call) -> Any:
    return peers(call.node)


async def _ping(call: Call) -> Any:
    return await ping(call.node.identity, call.node.reach, call.request.target)


async def _id(call: Call) -> Any:
    return identity(call.node)


async def _pin_add(call: Call) -> Any:
    async with call.node.fetch_session() as session:
        return await call.node.pinning().add(session, call.root, call.request.name, call.progress)


async def _pin_rm(call: Call) -> Any:
    return await call.node.pinning().remove(call.root)


async def _pin_ls(call: Call) -> Any:
    return await call.node.pinning().list()


async def _verify(call: Call) -> Any:
    return await verify(call.node.disk, call.progress)


OPERATIONS: Final[dict[str, Callable[[Call], Awaitable[Any]]]] = {
    "put": _put,
    "get": _get,
    "cat": _cat,
    "list": _list,
    "ls": _ls,
    "stat": _stat,
    "providers": _providers,
    "receipts": _receipts,
    "status": _status,
    "peers": _peers,
    "ping": _ping,
    "id": _id,
    "pin-add": _pin_add,
    "pin-rm": _pin_rm,
    "pin-ls": _pin_ls,
    "verify": _verify,
}
