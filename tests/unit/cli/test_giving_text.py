"""What `join` says of the disk that it gives."""

from __future__ import annotations

from dhtstore.cli.running.serve import giving
from dhtstore.node.ports import NodeSettings


def test_what_is_donated_is_told_as_a_part_that_no_put_gets() -> None:
    assert giving(NodeSettings(capacity_bytes=10**9), "") == (
        "gives 1.0 GB to anyone (within shares); change with `dhtstore config capacity|accept`"
    )
    assert giving(NodeSettings(capacity_bytes=10**9, donate_bytes=5 * 10**8), "") == (
        "gives 1.0 GB to anyone (within shares), 500.0 MB of it only for what is short of copies;"
        " change with `dhtstore config capacity|accept|donate`"
    )
