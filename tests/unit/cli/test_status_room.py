"""What status says of the room of a node, for people."""

from __future__ import annotations

from dhtstore.cli.nodes.status import claimed_text, used_text
from dhtstore.operations.nodes import NodeStatus, RoomStatus

GB = 10**9


def node(used_bytes: int, room: RoomStatus | None) -> NodeStatus:
    return NodeStatus("n", "main", None, None, None, 2 * GB, used_bytes, 1, 1, 1, None, room=room)


def room(own_bytes: int, reserved_bytes: int = 0, unclaimed_bytes: int = 0) -> RoomStatus:
    return RoomStatus("network", own_bytes, 0, reserved_bytes, unclaimed_bytes, 0, None, 0)


def test_what_claims_are_charged_with_is_no_part_of_what_is_used() -> None:
    shared = room(27 * GB // 10)
    assert used_text(node(2 * GB, shared)) == "2.0 GB"
    assert claimed_text(shared).startswith("2.7 GB own, 0 B of others (blocks that several share")


def test_what_no_claim_accounts_for_is_named_where_there_is_any() -> None:
    told = node(2 * GB, room(GB, GB // 10, GB // 2))
    assert used_text(told) == "2.0 GB, 100.0 MB of it set aside, at least 500.0 MB unclaimed"
    assert used_text(node(GB, None)) == "1.0 GB"
