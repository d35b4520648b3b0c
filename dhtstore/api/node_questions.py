"""Asking a node: how a call is made, and what is asked of the node itself."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TypeVar

from dhtstore.api.callers import Caller
from dhtstore.api.sources import Ttl, ttl_s_of
from dhtstore.config import Settings, merge
from dhtstore.errors import UsageError
from dhtstore.net.local.client import close_all
from dhtstore.operations.keeping import (
    CollectGarbage,
    CollectResult,
    ListPins,
    PinInfo,
    PolicyInfo,
    RemovedPut,
    RemovePin,
    RemovePut,
    SetPolicy,
    VerifyResult,
    VerifyStore,
    WhyHere,
    WhyResult,
)
from dhtstore.operations.limits import LimitsInForce, SetLimits
from dhtstore.operations.nodes import (
    CapacityChange,
    DescribeNode,
    IdentifyNode,
    KnownPeer,
    ListPeers,
    NodeIdentity,
    NodeStatus,
    PingNode,
    PingResult,
    SetCapacity,
)
from dhtstore.operations.operation import Operation, Watch, unwatched
from dhtstore.operations.repairing import (
    CopyEvent,
    LeaveNetwork,
    LeaveResult,
    ListEvents,
    RepairCopies,
    RepairResult,
)

R = TypeVar("R")


class NodeQuestions:
    """The part of ``Client`` that is about nodes and what is on their disks."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def identity(self, *, timeout_s: float | None = None) -> NodeIdentity:
        """Who this node is; ``ticket`` is what others join by."""
        return await self._call(IdentifyNode(), timeout_s=timeout_s)

    async def status(self, *, timeout_s: float | None = None) -> NodeStatus:
        """How this node is doing."""
        return await self._call(DescribeNode(), timeout_s=timeout_s)

    async def set_capacity(
        self, capacity: int | str, *, timeout_s: float | None = None
    ) -> CapacityChange:
        """Give so much of the disk, in bytes or as "10 GB", from now on and after the next start.

        Raises InvalidSetting.
        """
        given = merge(Settings(), {"capacity": capacity}, "set_capacity").capacity_bytes
        return await self._call(SetCapacity(capacity=given or 0), timeout_s=timeout_s)

    async def peers(self, *, timeout_s: float | None = None) -> list[KnownPeer]:
        """The nodes in the routing table, by node id."""
        return await self._call(ListPeers(), timeout_s=timeout_s)

    async def ping(self, node: str, *, timeout_s: float | None = None) -> PingResult:
        """A round trip to ``node``: an id, the beginning of one that is known there, a public key
        in hex, a ticket or HOST:PORT.

        Raises UnknownNode, Unreachable.
        """
        return await self._call(PingNode(target=node), timeout_s=timeout_s)

    async def unpin(self, cid: str, *, timeout_s: float | None = None) -> PinInfo:
        """Stop keeping ``cid`` for its own sake; raises NotHere if it was not pinned."""
        return await self._call(RemovePin(root=cid), timeout_s=timeout_s)

    async def pins(self, *, timeout_s: float | None = None) -> list[PinInfo]:
        """The pins, by CID."""
        return await self._call(ListPins(), timeout_s=timeout_s)

    async def policy(
        self,
        cid: str,
        *,
        replicas: int | None = None,
        ttl: Ttl = None,
        timeout_s: float | None = None,
    ) -> PolicyInfo:
        """What this node's owner wants for ``cid``: from now on so many ``replicas``, for ``ttl``
        (seconds, "30d", or "none" for until it is removed); what is None stays as it is.

        Raises NotFound where nobody knows of it, UsageError for what was removed.
        """
        asked = SetPolicy(root=cid, replicas=replicas, ttl_s=ttl_s_of(ttl))
        return await self._call(asked, timeout_s=timeout_s)

    async def remove(self, cid: str, *, timeout_s: float | None = None) -> RemovedPut:
        """End what this node's owner has put, here and at all holders: entry, receipts, pin and
        claims.  Raises UsageError for what is here for another reason, NotHere for what nobody
        knows of."""
        return await self._call(RemovePut(root=cid), timeout_s=timeout_s)

    async def collect(
        self,
        *,
        dry_run: bool = False,
        cache: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> CollectResult:
        """Remove what nothing keeps on this node, with ``cache`` also what is cached; with
        ``dry_run`` only tell.  Nothing is removed while ``unknown`` of the result names roots."""
        asked = CollectGarbage(dry_run=dry_run, cache=cache)
        return await self._call(asked, (), progress, timeout_s)

    async def repair(
        self, *, dry_run: bool = False, timeout_s: float | None = None
    ) -> RepairResult:
        """Make the copies that are missing of what is held here, also in place of those whose
        holders do not answer now; or only tell what the node is about to do by itself.  Raises
        UsageError on a node that gives no storage."""
        return await self._call(RepairCopies(dry_run=dry_run), timeout_s=timeout_s)

    async def leave(
        self,
        *,
        cancel: bool = False,
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> LeaveResult:
        """Bring everything that the node holds to others, after which it ends.  What nobody takes
        is in the result, and the node stays, leaving, until this is asked again or ``cancel``.
        Raises UsageError on a node that gives no storage."""
        return await self._call(LeaveNetwork(cancel=cancel), (), progress, timeout_s)

    async def events(
        self, *, last: int = 100, since_s: float | None = None, timeout_s: float | None = None
    ) -> list[CopyEvent]:
        """What happened to copies of what is held here, the oldest first.  Raises UsageError."""
        return await self._call(ListEvents(last=last, since_s=since_s), timeout_s=timeout_s)

    async def why(self, cid: str, *, timeout_s: float | None = None) -> WhyResult:
        """What keeps the block ``cid`` on this node; raises NotHere if it is not here."""
        return await self._call(WhyHere(root=cid), timeout_s=timeout_s)

    async def verify(
        self, *, progress: Watch | None = None, timeout_s: float | None = None
    ) -> VerifyResult:
        """Read every block of this node's store again; ``damaged`` names those that rotted."""
        return await self._call(VerifyStore(), (), progress, timeout_s)

    async def set_limits(
        self,
        *,
        up: str | None = None,
        down: str | None = None,
        timeout_s: float | None = None,
    ) -> LimitsInForce:
        """Bound what leaves and what comes, as "5MB/s, 22:00-06:00 unlimited", from now on until
        this node ends; None leaves a limit as it is, and without either tells what counts.

        Raises InvalidSetting.
        """
        return await self._call(SetLimits(limit_up=up, limit_down=down), timeout_s=timeout_s)

    async def _call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int] = (),
        progress: Watch | None = None,
        timeout_s: float | None = None,
    ) -> R:
        watch = checked(progress, descriptors)
        return await self._caller.call(operation, descriptors, watch, timeout_s)


def checked(progress: Watch | None, descriptors: Sequence[int] = ()) -> Watch:
    """Raises UsageError for what cannot be called from here, and closes ``descriptors``."""
    if progress is None:
        return unwatched
    if not callable(progress) or inspect.iscoroutinefunction(progress):
        close_all(descriptors)
        raise UsageError("progress is told to a plain function, which is not awaited")
    return progress
