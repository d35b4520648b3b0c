"""The one table of operations: what is not in here cannot be asked of a node."""

from __future__ import annotations

from typing import Any, Final

from dhtstore.operations.cars import Export, Import
from dhtstore.operations.content import (
    DescribeContent,
    FindProviders,
    Get,
    ListDirectory,
    Put,
    Read,
)
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
from dhtstore.operations.nodes import (
    DescribeNode,
    DescribeRoot,
    IdentifyNode,
    ListPeers,
    PingNode,
    SetCapacity,
)
from dhtstore.operations.operation import Operation
from dhtstore.operations.repairing import LeaveNetwork, ListEvents, RepairCopies

_ALL: Final[tuple[type[Operation[Any]], ...]] = (
    Put, Get, Read, ListDirectory, DescribeContent, FindProviders,
    ListPuts, CheckPuts, ListReceipts, AddPin, RemovePin, ListPins, VerifyStore,
    RemovePut, SetPolicy, CollectGarbage, WhyHere, Export, Import, RepairCopies, ListEvents,
    LeaveNetwork,
    IdentifyNode, DescribeNode, DescribeRoot, ListPeers, PingNode, SetLimits, SetCapacity,
)  # fmt: skip

OPERATIONS: Final[dict[str, type[Operation[Any]]]] = {each.op: each for each in _ALL}
