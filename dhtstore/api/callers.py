"""Two ways to a node: through its local socket, or in this very process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from dhtstore.net.local.async_client import converse
from dhtstore.net.local.client import close_all
from dhtstore.node.control import OperationRun, perform
from dhtstore.node.node import Node
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.operation import Operation, Watch

R = TypeVar("R")


class Caller(Protocol):
    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
    ) -> R:
        """Have ``operation`` carried out; ``descriptors`` go along and are closed.

        Raises what the operation raises.  Cancelling this cancels the operation.
        """


class SocketCaller:
    """Asks the running node that listens at ``path``; each call has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
    ) -> R:
        """See ``Caller``; raises NotRunning if no node listens."""
        return await converse(self._path, Conversation(operation, timeout_s, watch), descriptors)


class NodeCaller:
    """Asks a node in this process."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def call(
        self,
        operation: Operation[R],
        descriptors: Sequence[int],
        watch: Watch,
        timeout_s: float | None,
    ) -> R:
        """See ``Caller``; raises DutyFailed once the node has failed."""
        given = list(descriptors)  # what a use case takes leaves this list
        try:
            if self._node.failed.done():
                self._node.failed.result()
            return await perform(operation, OperationRun(self._node, given, watch, timeout_s))
        finally:
            close_all(given)
