"""What the log of a node tells of what its user had carried out."""

from __future__ import annotations

import pytest

from dhtstore.errors import DhtstoreError, NoRoom, PartlyStored, QuorumNotReached
from dhtstore.node.told import telling
from dhtstore.operations.content import Put, PutResult
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.ports.clock import SimClock

RESULT = PutResult("bafy", 5, 3, 1, 2, [], {}, skipped_count=4)
STORED = {"cid": "bafy", "size": 5, "replicas": 3, "copies": 1, "skipped_count": 4}
SKIPPED = PartlyStored("stored, but for 4 entries", partial=RESULT)
TOO_FEW = QuorumNotReached("1 of 2", copies=1, replicas=3, min_acks=2, partial=RESULT)


@pytest.mark.parametrize(
    ("error", "event", "fields"),
    [
        (SKIPPED, "operation.partly", STORED),
        (TOO_FEW, "operation.partly", STORED),
        (NoRoom("full"), "operation.ended", {}),
    ],
)
def test_what_was_stored_in_part_is_not_told_as_not_done(
    error: DhtstoreError, event: str, fields: dict[str, object]
) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    operation = Put(kind="file")

    def trace(event: str, **values: object) -> None:
        told.append((event, values))

    with (
        pytest.raises(type(error)),
        telling(operation, trace, SimClock(VirtualLoop())),
    ):
        raise error
    common = {"operation": "put", "reason": str(error), "took_s": 0.0}
    assert told == [(event, {**fields, **common})]
