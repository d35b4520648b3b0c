"""The Python API for scripts and notebooks: the same methods, without async.

    import dhtstore.sync

    with dhtstore.sync.connect() as client:
        cid = client.put(b"hello").cid
        print(client.cat(cid))

It runs the asynchronous API on an event loop in a thread of its own, so it works inside a running
event loop too (a notebook has one).  A client may be used from several threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from dhtstore.api import entry
from dhtstore.api.client import Client, Source
from dhtstore.errors import UsageError
from dhtstore.operations.content import (
    ContentInfo,
    DirectoryEntry,
    GetResult,
    ProviderInfo,
    PutResult,
)
from dhtstore.operations.keeping import PinInfo, PutSummary, SignedReceipt, VerifyResult
from dhtstore.operations.nodes import (
    KnownPeer,
    NodeIdentity,
    NodeStatus,
    PingResult,
    RootStatus,
)
from dhtstore.operations.operation import Watch, unwatched

__all__ = ["SyncClient", "connect", "open"]

T = TypeVar("T")


@contextmanager
def connect(home: entry.AnyPath | None = None) -> Iterator[SyncClient]:
    """As ``dhtstore.connect``."""
    with _client(lambda: entry.connect(home)) as client:
        yield client


@contextmanager
def open(  # noqa: A001 - dhtstore.sync.open, as one opens a database
    home: entry.AnyPath | None,
    *,
    seeds: Sequence[str] = (),
    network: str | None = None,
    listen: str | None = None,
    advertise: Sequence[str] | None = None,
    capacity: int | str | None = None,
    replicas: int | None = None,
    min_acks: int | None = None,
    accept: str | None = None,
    owner_quota: int | str | None = None,
    domain: str | None = None,
) -> Iterator[SyncClient]:
    """As ``dhtstore.open``."""
    node = entry.open(
        home,
        seeds=seeds,
        network=network,
        listen=listen,
        advertise=advertise,
        capacity=capacity,
        replicas=replicas,
        min_acks=min_acks,
        accept=accept,
        owner_quota=owner_quota,
        domain=domain,
    )
    with _client(lambda: node) as client:
        yield client


class SyncClient:
    """A ``dhtstore.Client`` whose methods wait; see there for what they do and raise."""

    def __init__(self, client: Client, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._client, self._wait = client, wait

    def put(
        self,
        source: Source,
        *,
        replicas: int | None = None,
        min_acks: int | None = None,
        name: str = "",
        progress: Watch = unwatched,
        timeout_s: float | None = None,
    ) -> PutResult:
        work = self._client.put(
            source,
            replicas=replicas,
            min_acks=min_acks,
            name=name,
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
        progress: Watch = unwatched,
        timeout_s: float | None = None,
    ) -> GetResult:
        work = self._client.get(cid, to, pin=pin, progress=progress, timeout_s=timeout_s)
        return self._run(work)

    def read(
        self, cid: str, start: int = 0, end: int | None = None, *, timeout_s: float | None = None
    ) -> Iterator[bytes]:
        pieces = self._client.read(cid, start, end, timeout_s=timeout_s)
        try:
            while (piece := self._run(_following(pieces))) is not None:
                yield piece
        finally:
            self._run(pieces.aclose())

    def cat(self, cid: str, *, timeout_s: float | None = None) -> bytes:
        return self._run(self._client.cat(cid, timeout_s=timeout_s))

    def ls(self, cid: str, *, timeout_s: float | None = None) -> list[DirectoryEntry]:
        return self._run(self._client.ls(cid, timeout_s=timeout_s))

    def stat(self, cid: str, *, timeout_s: float | None = None) -> ContentInfo:
        return self._run(self._client.stat(cid, timeout_s=timeout_s))

    def providers(self, cid: str, *, timeout_s: float | None = None) -> list[ProviderInfo]:
        return self._run(self._client.providers(cid, timeout_s=timeout_s))

    def puts(self, *, timeout_s: float | None = None) -> list[PutSummary]:
        return self._run(self._client.puts(timeout_s=timeout_s))

    def receipts(self, cid: str, *, timeout_s: float | None = None) -> list[SignedReceipt]:
        return self._run(self._client.receipts(cid, timeout_s=timeout_s))

    def pin(
        self,
        cid: str,
        *,
        name: str = "",
        progress: Watch = unwatched,
        timeout_s: float | None = None,
    ) -> PinInfo:
        work = self._client.pin(cid, name=name, progress=progress, timeout_s=timeout_s)
        return self._run(work)

    def unpin(self, cid: str, *, timeout_s: float | None = None) -> PinInfo:
        return self._run(self._client.unpin(cid, timeout_s=timeout_s))

    def pins(self, *, timeout_s: float | None = None) -> list[PinInfo]:
        return self._run(self._client.pins(timeout_s=timeout_s))

    def verify(
        self, *, progress: Watch = unwatched, timeout_s: float | None = None
    ) -> VerifyResult:
        return self._run(self._client.verify(progress=progress, timeout_s=timeout_s))

    def identity(self, *, timeout_s: float | None = None) -> NodeIdentity:
        return self._run(self._client.identity(timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> NodeStatus:
        return self._run(self._client.status(timeout_s=timeout_s))

    def root_status(self, cid: str, *, timeout_s: float | None = None) -> RootStatus:
        return self._run(self._client.root_status(cid, timeout_s=timeout_s))

    def peers(self, *, timeout_s: float | None = None) -> list[KnownPeer]:
        return self._run(self._client.peers(timeout_s=timeout_s))

    def ping(self, node: str, *, timeout_s: float | None = None) -> PingResult:
        return self._run(self._client.ping(node, timeout_s=timeout_s))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self._wait(work)
        return result


@contextmanager
def _client(
    opening: Callable[[], AbstractAsyncContextManager[Client]],
) -> Iterator[SyncClient]:
    """A client on a loop of its own, from entering ``opening`` to leaving it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="dhtstore loop", daemon=True)
    thread.start()

    def wait(work: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is thread:
            work.close()
            raise UsageError("a progress callback cannot wait for the client that calls it")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:  # an interrupt from the keyboard, mostly: end the work too
            future.cancel()
            raise

    manager = opening()
    try:
        client = SyncClient(wait(manager.__aenter__()), wait)
        try:
            yield client
        except BaseException as error:
            if not wait(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            wait(manager.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _following(pieces: AsyncGenerator[bytes, None]) -> bytes | None:
    """The next piece; None at the end."""
    return await anext(pieces, None)
