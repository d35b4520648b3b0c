"""The Python API for scripts and notebooks: the same methods, without async.

    import dhtstore.sync

    with dhtstore.sync.connect() as client:
        cid = client.put(b"hello").cid
        print(client.cat(cid))

It runs the asynchronous API on an event loop in a thread of its own, so it works inside a running
event loop too (a notebook has one).  A client may be used from several threads, not in a process
that was forked after it was made.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from dhtstore.api import entry
from dhtstore.api.client import Client, Source
from dhtstore.api.pipes import Pieces
from dhtstore.api.sources import Ttl
from dhtstore.errors import CLOSED_HINT, NotRunning, UsageError
from dhtstore.operations.cars import ExportResult, ImportResult
from dhtstore.operations.content import (
    Chunker,
    ContentInfo,
    DirectoryEntry,
    GetResult,
    ProviderInfo,
    PutResult,
)
from dhtstore.operations.keeping import (
    CollectResult,
    PinAdded,
    PinInfo,
    PolicyInfo,
    PutSummary,
    RemovedPut,
    SignedReceipt,
    VerifyResult,
    WhyResult,
)
from dhtstore.operations.limits import LimitsInForce
from dhtstore.operations.nodes import (
    CapacityChange,
    KnownPeer,
    NodeIdentity,
    NodeStatus,
    PingResult,
    RootStatus,
)
from dhtstore.operations.operation import Watch
from dhtstore.operations.repairing import CopyEvent, LeaveResult, RepairResult
from dhtstore.tasks import all_ended

__all__ = ["SyncClient", "connect", "open", "read_home"]

T = TypeVar("T")


@contextmanager
def connect(home: entry.AnyPath | None = None) -> Iterator[SyncClient]:
    """As ``dhtstore.connect``: the node that runs on the data directory ``home``."""
    with _client(lambda: entry.connect(home)) as client:
        yield client


@contextmanager
def read_home(home: entry.AnyPath | None = None) -> Iterator[SyncClient]:
    """As ``dhtstore.read_home``: what lies in the data directory ``home``, with or without a
    node."""
    with _client(lambda: entry.read_home(home)) as client:
        yield client


@contextmanager
def open(  # noqa: A001 - dhtstore.sync.open, as one opens a database
    home: entry.AnyPath | None,
    *,
    seeds: str | Sequence[str] = (),
    network: str | None = None,
    listen: str | None = None,
    advertise: Sequence[str] | None = None,
    capacity: int | str | None = None,
    disk_reserve: int | str | None = None,
    replicas: int | None = None,
    min_acks: int | None = None,
    accept: str | None = None,
    owner_quota: int | str | None = None,
    domain: str | None = None,
    lookup_paths: int | None = None,
    limit_up: str | None = None,
    limit_down: str | None = None,
    donate: int | str | None = None,
    repair_budget: int | str | None = None,
    repair_grace: float | str | None = None,
) -> Iterator[SyncClient]:
    """As ``dhtstore.open``: a node inside this process, which lives as long as the block."""
    node = entry.open(
        home,
        seeds=seeds,
        network=network,
        listen=listen,
        advertise=advertise,
        capacity=capacity,
        disk_reserve=disk_reserve,
        replicas=replicas,
        min_acks=min_acks,
        accept=accept,
        owner_quota=owner_quota,
        domain=domain,
        lookup_paths=lookup_paths,
        limit_up=limit_up,
        limit_down=limit_down,
        donate=donate,
        repair_budget=repair_budget,
        repair_grace=repair_grace,
    )
    with _client(lambda: node) as client:
        yield client


class _SyncCars:
    """The part that is about CAR files, and what waiting takes."""

    def __init__(self, client: Client, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._client, self._wait = client, wait

    def __repr__(self) -> str:
        return f"<dhtstore.sync.SyncClient, waiting for {self._client!r}>"

    def export(
        self,
        cids: str | Sequence[str],
        to: entry.AnyPath,
        *,
        force: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> ExportResult:
        work = self._client.export(cids, to, force=force, progress=progress, timeout_s=timeout_s)
        return self._run(work)

    def read_car(
        self, cids: str | Sequence[str], *, timeout_s: float | None = None
    ) -> Generator[bytes, None, None]:
        yield from self._each(self._client.read_car(cids, timeout_s=timeout_s))

    def import_car(
        self,
        source: entry.AnyPath | Pieces,
        *,
        name: str = "",
        partial: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> ImportResult:
        work = self._client.import_car(
            source, name=name, partial=partial, progress=progress, timeout_s=timeout_s
        )
        return self._run(work)

    def _each(self, pieces: AsyncGenerator[bytes, None]) -> Generator[bytes, None, None]:
        try:
            while (piece := self._run(_following(pieces))) is not None:
                yield piece
        finally:
            self._run(pieces.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self._wait(work)
        return result


class SyncClient(_SyncCars):
    """A ``dhtstore.Client`` whose methods wait."""

    def put(
        self,
        source: Source,
        *,
        replicas: int | None = None,
        min_acks: int | None = None,
        name: str = "",
        strict: bool = False,
        exclude: Sequence[str] = (),
        preserve: bool = False,
        wrap: bool = False,
        tar: bool = False,
        pipeline: bool = True,
        chunker: Chunker = "fixed",
        ttl: Ttl = None,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> PutResult:
        work = self._client.put(
            source,
            replicas=replicas,
            min_acks=min_acks,
            name=name,
            strict=strict,
            exclude=exclude,
            preserve=preserve,
            wrap=wrap,
            tar=tar,
            pipeline=pipeline,
            chunker=chunker,
            ttl=ttl,
            progress=progress,
            timeout_s=timeout_s,
        )
        return self._run(work)

    def get(
        self,
        cid: str,
        to: entry.AnyPath,
        *,
        pin: bool = False,
        force: bool = False,
        start: int | None = None,
        end: int | None = None,
        cache: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> GetResult:
        work = self._client.get(
            cid,
            to,
            pin=pin,
            force=force,
            cache=cache,
            start=start,
            end=end,
            progress=progress,
            timeout_s=timeout_s,
        )
        return self._run(work)

    def read(
        self, cid: str, start: int = 0, end: int | None = None, *, timeout_s: float | None = None
    ) -> Generator[bytes, None, None]:
        yield from self._each(self._client.read(cid, start, end, timeout_s=timeout_s))

    def read_tar(self, cid: str, *, timeout_s: float | None = None) -> Generator[bytes, None, None]:
        yield from self._each(self._client.read_tar(cid, timeout_s=timeout_s))

    def cat(self, cid: str, *, timeout_s: float | None = None) -> bytes:
        return self._run(self._client.cat(cid, timeout_s=timeout_s))

    def ls(self, cid: str, *, timeout_s: float | None = None) -> list[DirectoryEntry]:
        return self._run(self._client.ls(cid, timeout_s=timeout_s))

    def entries(
        self, cid: str, *, timeout_s: float | None = None
    ) -> Generator[DirectoryEntry, None, None]:
        entries = self._client.entries(cid, timeout_s=timeout_s)
        try:
            while (entry := self._run(_following(entries))) is not None:
                yield entry
        finally:
            self._run(entries.aclose())

    def stat(self, cid: str, *, timeout_s: float | None = None) -> ContentInfo:
        return self._run(self._client.stat(cid, timeout_s=timeout_s))

    def providers(
        self, cid: str, *, check: bool = False, timeout_s: float | None = None
    ) -> list[ProviderInfo]:
        return self._run(self._client.providers(cid, check=check, timeout_s=timeout_s))

    def puts(self, *, check: bool = False, timeout_s: float | None = None) -> list[PutSummary]:
        return self._run(self._client.puts(check=check, timeout_s=timeout_s))

    def receipts(self, cid: str, *, timeout_s: float | None = None) -> list[SignedReceipt]:
        return self._run(self._client.receipts(cid, timeout_s=timeout_s))

    def pin(
        self,
        cid: str,
        *,
        name: str = "",
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> PinAdded:
        work = self._client.pin(cid, name=name, progress=progress, timeout_s=timeout_s)
        return self._run(work)

    def unpin(self, cid: str, *, timeout_s: float | None = None) -> PinInfo:
        return self._run(self._client.unpin(cid, timeout_s=timeout_s))

    def pins(self, *, timeout_s: float | None = None) -> list[PinInfo]:
        return self._run(self._client.pins(timeout_s=timeout_s))

    def policy(
        self,
        cid: str,
        *,
        replicas: int | None = None,
        ttl: Ttl = None,
        timeout_s: float | None = None,
    ) -> PolicyInfo:
        work = self._client.policy(cid, replicas=replicas, ttl=ttl, timeout_s=timeout_s)
        return self._run(work)

    def remove(self, cid: str, *, timeout_s: float | None = None) -> RemovedPut:
        return self._run(self._client.remove(cid, timeout_s=timeout_s))

    def collect(
        self,
        *,
        dry_run: bool = False,
        cache: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> CollectResult:
        work = self._client.collect(
            dry_run=dry_run, cache=cache, progress=progress, timeout_s=timeout_s
        )
        return self._run(work)

    def repair(self, *, dry_run: bool = False, timeout_s: float | None = None) -> RepairResult:
        return self._run(self._client.repair(dry_run=dry_run, timeout_s=timeout_s))

    def leave(
        self,
        *,
        cancel: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> LeaveResult:
        return self._run(self._client.leave(cancel=cancel, progress=progress, timeout_s=timeout_s))

    def events(
        self, *, last: int = 100, since_s: float | None = None, timeout_s: float | None = None
    ) -> list[CopyEvent]:
        told = self._client.events(last=last, since_s=since_s, timeout_s=timeout_s)
        return self._run(told)

    def why(self, cid: str, *, timeout_s: float | None = None) -> WhyResult:
        return self._run(self._client.why(cid, timeout_s=timeout_s))

    def verify(
        self, *, progress: Watch | None = None, timeout_s: float | None = None
    ) -> VerifyResult:
        return self._run(self._client.verify(progress=progress, timeout_s=timeout_s))

    def identity(self, *, timeout_s: float | None = None) -> NodeIdentity:
        return self._run(self._client.identity(timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> NodeStatus:
        return self._run(self._client.status(timeout_s=timeout_s))

    def set_capacity(
        self, capacity: int | str, *, timeout_s: float | None = None
    ) -> CapacityChange:
        return self._run(self._client.set_capacity(capacity, timeout_s=timeout_s))

    def root_status(
        self, cid: str, *, check: bool = False, timeout_s: float | None = None
    ) -> RootStatus:
        return self._run(self._client.root_status(cid, check=check, timeout_s=timeout_s))

    def peers(self, *, timeout_s: float | None = None) -> list[KnownPeer]:
        return self._run(self._client.peers(timeout_s=timeout_s))

    def set_limits(
        self, *, up: str | None = None, down: str | None = None, timeout_s: float | None = None
    ) -> LimitsInForce:
        return self._run(self._client.set_limits(up=up, down=down, timeout_s=timeout_s))

    def ping(self, node: str, *, timeout_s: float | None = None) -> PingResult:
        return self._run(self._client.ping(node, timeout_s=timeout_s))


def _describe_methods() -> None:
    """Each method of the twin is documented as the one that it waits for."""
    for name, method in {**vars(_SyncCars), **vars(SyncClient)}.items():
        if not name.startswith("_"):
            method.__doc__ = inspect.getdoc(getattr(Client, name))


_describe_methods()


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        name = "dhtstore loop"
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` there and wait; raises what it raises, NotRunning once it was stopped."""
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError("a progress callback cannot wait for the client that calls it")
        if not self._thread.is_alive():
            work.close()
            raise NotRunning("this client was closed: its block has ended").hinted(CLOSED_HINT)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # an interrupt from the keyboard, mostly: end the work too
            future.cancel()
            raise

    def stop(self) -> None:
        """End what still runs, so that nobody waits for ever, and the loop."""
        self.wait(_end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_others() -> None:
    current = asyncio.current_task()
    others = [task for task in list(asyncio.all_tasks()) if task is not current]
    for task in others:
        task.cancel()
    await all_ended(others)


@contextmanager
def _client(
    opening: Callable[[], AbstractAsyncContextManager[Client]],
) -> Iterator[SyncClient]:
    """A client on a loop of its own, from entering ``opening`` to leaving it."""
    thread = _LoopThread()
    manager = opening()
    try:
        client = SyncClient(thread.wait(manager.__aenter__()), thread.wait)
        try:
            yield client
        except BaseException as error:
            if not thread.wait(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            thread.wait(manager.__aexit__(None, None, None))
    finally:
        thread.stop()


async def _following(pieces: AsyncGenerator[T, None]) -> T | None:
    """The next; None at the end."""
    return await anext(pieces, None)
