"""A disk that is not mounted, and a pack that is gone: told, not announced, never taken for new."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.cli.terminal import COMMAND_TIMEOUT_S, Daemon, Daemons, run


def incomplete_units(node: Daemon) -> int:
    return int(node.run("status", "--json").json["incomplete_units"])


def holders(node: Daemon, cid: str) -> list[str]:
    return list(node.run("status", cid, "--json").json["units"][0]["providers"])


def until(node: Daemon, lacks: bool) -> None:
    late_s = time.monotonic() + COMMAND_TIMEOUT_S
    while bool(incomplete_units(node)) != lacks:
        assert time.monotonic() < late_s, f"it never said that {lacks=}"
        time.sleep(0.1)


def test_a_pack_that_is_gone(daemons: Daemons, tmp_path: Path) -> None:
    """Told while nobody is there to have it back from."""
    seed = daemons("seed", "--capacity", "100MB")
    node = daemons("node", "--capacity", "100MB", seed.ticket)
    (tmp_path / "file").write_bytes(os.urandom(5000))
    cid = node.run("put", tmp_path / "file", "--replicas", "2").text.strip()
    assert sorted(holders(node, cid)) == sorted([seed.node, node.node])
    assert node.run("verify").code == 0
    assert "never" not in node.run("status").text
    seed.stop()
    node.stop()
    for pack in (node.home / "blocks").glob("*.pack"):
        pack.unlink()
    node = daemons("node")
    until(node, lacks=True)
    found = node.run("verify")
    assert found.code == 5
    assert f"incomplete {cid} of {cid}: " in found.text
    [unit] = node.run("verify", "--json").json["units"]
    assert (unit["unit"], unit["roots"]) == (cid, [cid])
    assert node.run("list", "--json").json[0]["copies"] == 1
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
