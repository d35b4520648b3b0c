"""Ways to a node: through its local socket, or in this very process; and the end of both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from msgspec.structs import replace

from dhtstore.api.home_ledger import HomeLedger
from dhtstore.api.homes import socket_path
from dhtstore.api.offline import read_kept
from dhtstore.errors import (
    CLOSED_HINT,
    NeedsNode,
    NoNodeHere,
    NotAnnounced,
    NotRunning,
    PartlyStored,
    QuorumNotReached,
)
from dhtstore.model.identity import format_node
from dhtstore.net.local.async_client import converse
from dhtstore.net.local.client import close_all
from dhtstore.node.control import OperationRun, perform
from dhtstore.node.node import Node
from dhtstore.operations.content import Get, Put, PutResult
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.keeping import (
    AddPin,
    CheckPuts,
    CollectGarbage,
    ListPins,
    ListPuts,
    ListReceipts,
    RemovePin,
    RemovePut,
    SetPolicy,
    VerifyStore,
    WhyHere,
)
from dhtstore.operations.limits import SetLimits
from dhtstore.operations.messages import as_received
from dhtstore.operations.nodes import DescribeNode, IdentifyNode, SetCapacity
from dhtstore.operations.operation import Operation, Rows, Watch
from dhtstore.operations.repairing import LeaveNetwork, ListEvents, RepairCopies
from dhtstore.params import LOOKUP_TIMEOUT_S
from dhtstore.tasks import Supervisor, all_ended

R = TypeVar("R")

# What these tell of, or keep, would end with a node that lives for a visit.
_NEED_NODE: Final = (
    IdentifyNode, DescribeNode, ListPuts, CheckPuts, VerifyStore, ListReceipts, AddPin, RemovePin,
    ListPins, RemovePut, SetPolicy, CollectGarbage, WhyHere, SetLimits, SetCapacity,
    RepairCopies, ListEvents, LeaveNetwork,
)  # fmt: skip


class Caller(Protocol):
    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
        rows: Rows | None = None,
    ) -> R:
        """Have ``operation`` carried out; ``descriptors`` go along and are closed.  ``rows`` gets
        those of a list as they come, which then are not in the result.

        Raises what the operation raises.  Cancelling this cancels the operation.
        """


def check_visit(operation: Operation[Any]) -> None:
    """Raises NeedsNode for what makes no sense of a node that ends at once."""
    pins = isinstance(operation, Get) and operation.pin
    if isinstance(operation, _NEED_NODE) or pins:
        what = "pin" if pins else operation.op.replace("-", " ")
        raise NeedsNode(
            f"{what} needs a running node: a visitor, as behind --seed, ends with its visit"
        )


class SocketCaller:
    """Asks the running node that listens at ``path``; each call has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"the node at {self._path}"

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
        rows: Rows | None = None,
    ) -> R:
        """See ``Caller``; raises NotRunning if no node listens."""
        try:
            conversation = Conversation(operation, timeout_s, watch)
        except BaseException:
            close_all(descriptors)
            raise
        return await converse(self._path, conversation, descriptors, rows)


class HomeCaller:
    """Asks the node of a data directory; without one, reads what lies there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"the data directory {self._path}"

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
        rows: Rows | None = None,
    ) -> R:
        """See ``Caller``; raises NotRunning for what needs a node where none runs."""
        socket = await asyncio.to_thread(socket_path, self._path)
        try:
            return await SocketCaller(socket).call(operation, descriptors, watch, timeout_s, rows)
        except NoNodeHere:
            if operation.needs_node:
                raise
        found = await read_kept(self._path, operation, watch, timeout_s)
        if rows is None or not isinstance(found, list):
            return found
        await rows(found)
        return cast(R, [])


class NodeCaller:
    """Asks a node in this process; ``visits`` if it lives for a visit only, and remembers what it
    puts there."""

    def __init__(self, node: Node, *, visits: HomeLedger | None = None) -> None:
        self._node, self._visits = node, visits

    def __str__(self) -> str:
        return f"node {format_node(self._node.node_id)} in this process"

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
        rows: Rows | None = None,
    ) -> R:
        """See ``Caller``; raises DutyFailed once the node has failed, NeedsNode on a visit."""
        given = list(descriptors)  # what a use case takes leaves this list
        try:
            asked, within_s = as_received(operation, timeout_s)
            if self._visits is not None:
                check_visit(asked)
                if isinstance(asked, Put):
                    await self._node.ports.blocking.run(self._visits.begin)
            if self._node.failed.done():
                self._node.failed.result()
            run = OperationRun(self._node, given, watch, within_s, rows)
            if self._visits is not None and isinstance(asked, Put):
                return cast(R, await self._put(asked, run))
            return await perform(asked, run)
        finally:
            close_all(given)

    async def _put(self, asked: Put, run: OperationRun) -> PutResult:
        """And see that others know what is wanted: nobody does so later."""
        try:
            return await self._told(await perform(asked, run))
        except (QuorumNotReached, NotAnnounced, PartlyStored) as error:
            if isinstance(error.partial, PutResult):
                error.partial = await self._told(error.partial)
            raise

    async def _told(self, result: PutResult) -> PutResult:
        stored = await self._node.policies.renewal.settle(LOOKUP_TIMEOUT_S)
        return replace(result, policy_stored=stored)


class ClosableCaller:
    """Another caller until it is closed; then what runs is ended, and everything raises
    NotRunning."""

    def __init__(self, caller: Caller) -> None:
        self._caller, self._calls = caller, Supervisor()

    def __str__(self) -> str:
        return f"{self._caller}{' (closed)' if self._calls.closed else ''}"

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
        rows: Rows | None = None,
    ) -> R:
        """See ``Caller``."""
        if self._calls.closed:
            close_all(descriptors)
            raise NotRunning("this client was closed: its block has ended").hinted(CLOSED_HINT)
        work: Coroutine[Any, Any, R]
        work = self._caller.call(operation, descriptors, watch, timeout_s, rows)
        task = self._calls.spawn(work, operation.op)
        try:
            return cast(R, await task)
        except asyncio.CancelledError:
            await all_ended([task])
            if self._calls.closed and not _being_cancelled():
                raise NotRunning("this client was closed while it worked").hinted(
                    CLOSED_HINT
                ) from None
            raise

    async def close(self) -> None:
        """End what runs."""
        await self._calls.close()


def _being_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
