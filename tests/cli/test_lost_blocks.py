"""A disk that is not mounted, and a pack that is gone: told, not announced, never taken for new."""

from __future__ import annotations

import os
import time

from tests.cli.terminal import COMMAND_TIMEOUT_S, Daemon, Daemons, run


def incomplete_units(node: Daemon) -> int:
    return int(node.run("status", "--json").json["incomplete_units"])


def holders(node: Daemon, cid: str) -> list[str]:
    return list(node.run("status", cid, "--json").json["units"][0]["providers"])


def test_a_pack_that_is_gone(daemons: Daemons) -> None:
    seed = daemons("seed", "--capacity", "100MB")
    node = daemons("node", "--capacity", "100MB", seed.ticket)
    cid = node.put(os.urandom(5000), "--replicas", "2")
    assert sorted(holders(node, cid)) == sorted([seed.node, node.node])
    assert node.run("verify").code == 0
    node.stop()
    for pack in (node.home / "blocks").glob("*.pack"):
        pack.unlink()
    node = daemons("node")
    late_s = time.monotonic() + COMMAND_TIMEOUT_S
    while not incomplete_units(node):
        assert time.monotonic() < late_s, "it never looked"
    assert holders(node, cid) == [seed.node]
    found = node.run("verify")
    assert found.code == 5
    assert f"incomplete {cid} of {cid}: " in found.text
    [unit] = node.run("verify", "--json").json["units"]
    assert (unit["unit"], unit["roots"]) == (cid, [cid])
    assert "incomplete_units=1" in node.stop().err


def test_a_directory_of_blocks_that_is_not_there(daemons: Daemons) -> None:
    node = daemons("node", "--capacity", "100MB")
    cid = node.put(b"kept", "--replicas", "1")
    node.stop()
    blocks = node.home / "blocks"
    blocks.rename(node.home / "unmounted")
    blocks.mkdir()
    refused = run("join", "--home", node.home)
    assert refused.code not in (0, 1)
    assert "mount it" in refused.err
    assert list(blocks.iterdir()) == []
    blocks.rmdir()
    (node.home / "unmounted").rename(blocks)
    again = daemons("node")
    assert again.run("cat", cid).out == b"kept"
    assert again.run("verify").code == 0
