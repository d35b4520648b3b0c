"""A replicated content-addressed storage node that anyone can run.

    import dhtstore

    async with dhtstore.connect() as client:  # the node that `dhtstore join` runs here
        result = await client.put("photos/", replicas=3)
        await client.get(result.cid, to="copy")

``connect`` and ``open`` are the ways to a ``Client`` of a node, ``read_home`` to what lies in a
data directory without one; ``dhtstore.sync`` has the same without
async.  docs/library.md is the tutorial.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # what is named here is imported when it is first used, by ``__getattr__``
    from dhtstore import errors, sync
    from dhtstore.api.client import Client
    from dhtstore.api.entry import connect, read_home
    from dhtstore.api.entry import open as open  # noqa: A004 - dhtstore.open
    from dhtstore.api.proofs.receipts import verify_receipts
    from dhtstore.errors import DhtstoreError
    from dhtstore.operations.cars import ExportResult, ImportResult
    from dhtstore.operations.content import (
        ContentInfo,
        DirectoryEntry,
        GetResult,
        HolderReport,
        ProviderInfo,
        PutResult,
        SkippedEntry,
    )
    from dhtstore.operations.explaining.causes import Cause, CauseKind
    from dhtstore.operations.explaining.report import FetchReport, HolderTimeline
    from dhtstore.operations.keeping import (
        CollectResult,
        KeepReason,
        PinAdded,
        PinInfo,
        PolicyInfo,
        PutSummary,
        RemovedPut,
        SignedReceipt,
        UnknownBelow,
        VerifyResult,
        WhyResult,
    )
    from dhtstore.operations.limits import LimitsInForce
    from dhtstore.operations.moment import Moment
    from dhtstore.operations.nodes import (
        AnnouncingStatus,
        CapacityChange,
        HolderStatus,
        KnownPeer,
        NodeIdentity,
        NodeStatus,
        PingResult,
        RoomShare,
        RoomStatus,
        RootStatus,
        TrafficStatus,
        UnitStatus,
    )
    from dhtstore.operations.operation import Progress
    from dhtstore.operations.repairing import CopyEvent, LeaveResult, RepairedUnit, RepairResult

__version__ = "0.1.0"

# Not ``open``: after ``from dhtstore import *`` files are still opened by Python's own.
__all__ = [
    "AnnouncingStatus",
    "CapacityChange",
    "Cause",
    "CauseKind",
    "Client",
    "CollectResult",
    "ContentInfo",
    "CopyEvent",
    "DhtstoreError",
    "DirectoryEntry",
    "ExportResult",
    "FetchReport",
    "GetResult",
    "HolderReport",
    "HolderStatus",
    "HolderTimeline",
    "ImportResult",
    "KeepReason",
    "KnownPeer",
    "LeaveResult",
    "LimitsInForce",
    "Moment",
    "NodeIdentity",
    "NodeStatus",
    "PinAdded",
    "PinInfo",
    "PingResult",
    "PolicyInfo",
    "Progress",
    "ProviderInfo",
    "PutResult",
    "PutSummary",
    "RemovedPut",
    "RepairResult",
    "RepairedUnit",
    "RoomShare",
    "RoomStatus",
    "RootStatus",
    "SignedReceipt",
    "SkippedEntry",
    "TrafficStatus",
    "UnitStatus",
    "UnknownBelow",
    "VerifyResult",
    "WhyResult",
    "connect",
    "errors",
    "read_home",
    "sync",
    "verify_receipts",
]

_MODULES: Final = ("errors", "sync")
_HOMES: Final = {
    "dhtstore.api.client": ("Client",),
    "dhtstore.api.entry": ("connect", "open", "read_home"),
    "dhtstore.api.proofs.receipts": ("verify_receipts",),
    "dhtstore.errors": ("DhtstoreError",),
    "dhtstore.operations.cars": ("ExportResult", "ImportResult"),
    "dhtstore.operations.content": (
        "ContentInfo", "DirectoryEntry", "GetResult", "HolderReport", "ProviderInfo",
        "PutResult", "SkippedEntry",
    ),
    "dhtstore.operations.explaining.causes": ("Cause", "CauseKind"),
    "dhtstore.operations.explaining.report": ("FetchReport", "HolderTimeline"),
    "dhtstore.operations.keeping": (
        "CollectResult", "KeepReason", "PinAdded", "PinInfo", "PolicyInfo", "PutSummary",
        "RemovedPut", "SignedReceipt", "UnknownBelow", "VerifyResult", "WhyResult",
    ),
    "dhtstore.operations.limits": ("LimitsInForce",),
    "dhtstore.operations.moment": ("Moment",),
    "dhtstore.operations.nodes": (
        "KnownPeer", "NodeIdentity", "NodeStatus", "PingResult", "RoomShare", "RoomStatus",
        "RootStatus", "UnitStatus", "HolderStatus", "CapacityChange", "AnnouncingStatus",
        "TrafficStatus",
    ),
    "dhtstore.operations.operation": ("Progress",),
    "dhtstore.operations.repairing": ("CopyEvent", "LeaveResult", "RepairResult", "RepairedUnit"),
}  # fmt: skip
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """PEP 562: a command that prints its version must not load a node."""
    if name in _MODULES:
        return importlib.import_module(f"dhtstore.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'dhtstore' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "open", "__version__"])
