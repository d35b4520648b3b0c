"""What `leave` tells."""

from __future__ import annotations

from dhtstore.errors import UsageError
from dhtstore.node.duties.leaving.leaving import Leaving
from dhtstore.node.duties.repairing.telling import units_told
from dhtstore.operations.operation import Watch
from dhtstore.operations.repairing import LeaveResult
from dhtstore.params import REPAIRS_TOLD_MAX
from dhtstore.replication.repair.plan import Act


async def left(leaving: Leaving, watch: Watch, *, storage: bool, cancel: bool) -> LeaveResult:
    """Raises UsageError on a node that holds nothing for others, and what ``Leaving`` raises."""
    if not storage:
        raise UsageError("this node gives no storage, so it holds nothing for others").hinted(
            "just stop it: Ctrl-C where `dhtstore join` runs"
        )
    cancelled = cancel and await leaving.cancel()
    done = [] if cancel else await leaving.leave(watch)
    stay = [each for each in done if each.act is not Act.DROP]
    return LeaveResult(
        looked=len(done),
        units=await units_told(leaving.handing.repair.completeness, stay[:REPAIRS_TOLD_MAX]),
        more=max(0, len(stay) - REPAIRS_TOLD_MAX),
        made=sum(each.made for each in done),
        sent=sum(each.sent_bytes for each in done),
        left=not cancel and not stay,
        cancelled=cancelled,
    )
