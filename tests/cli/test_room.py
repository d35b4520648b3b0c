"""rm, gc, why, get --cache and names of pins, as they are typed; and a put that was killed."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tests.cli.terminal import COMMAND_TIMEOUT_S, Daemon, Daemons


def blocks_here(node: Daemon) -> int:
    return int(node.run("status", "--json").json["blocks"])


def test_what_was_put_goes_and_what_was_cached_after_it(daemons: Daemons, tmp_path: Path) -> None:
    seed = daemons("seed", "--capacity", "100MB")
    node = daemons("node", "--capacity", "100MB", seed.ticket)
    other = node.put(os.urandom(1000), "--replicas", "2")
    refused = seed.run("rm", other)
    assert refused.code == 2
    assert "held for owner" in refused.err
    assert node.run("policy", other, "--ttl", "30d", "--json").json["told"] == 1
    assert "1 holder told" in node.run("rm", other).text
    assert seed.run("why", other).text.startswith("nothing since "), "its holder ended it at once"
    assert node.run("gc").code == 0
    content = os.urandom(3_000_000)
    seed.put(content, "--replicas", "1")
    cid = node.put(content, "--name", "film", "--replicas", "2")
    assert 'put from here as "film"' in node.run("why", cid).text
    removed = node.run("rm", "film")
    assert removed.text.startswith(f"removed film {cid}, 3.0 MB")
    assert "1 holder told" in removed.text
    assert "1 claim of other owners on the same stays there" in removed.text
    assert node.run("why", cid).text.startswith("nothing since ")
    assert node.run("gc", "--dry-run").text.startswith("4 blocks would be removed, 3.0 MB")
    assert node.run("gc", "--json").json["garbage_blocks"] == 4
    assert node.run("why", cid).code == 3
    target = tmp_path / "again"
    assert node.run("get", cid, "--cache", "-o", target, "--json").json["cached"]
    assert "cached, last used" in node.run("why", cid).text
    seed.stop()
    target.unlink()
    assert node.run("get", cid, "-o", target).code == 0, "without anybody else"
    assert node.run("pin", "add", cid, "--name", "kept").code == 0
    assert "cached" not in node.run("why", cid).text
    assert node.run("pin", "rm", "kept").code == 0
    assert node.run("gc", "--json").json["garbage_blocks"] == 4
    assert blocks_here(node) == 0


def test_what_a_killed_put_has_left_is_collected(daemons: Daemons) -> None:
    """It stayed for ever, counted as unclaimed."""
    node = daemons("node", "--capacity", "2GB")
    putting = node.start("put", "-")  # what it waits for never comes
    assert putting.stdin is not None
    for _ in range(28):  # more than one commit takes
        putting.stdin.write(os.urandom(10_000_000))
    late_s = time.monotonic() + COMMAND_TIMEOUT_S
    while not blocks_here(node):
        assert putting.poll() is None
        assert time.monotonic() < late_s
    node.kill()
    with contextlib.suppress(BrokenPipeError):
        putting.communicate()
    node = daemons("node")
    left = blocks_here(node)
    assert left > 0
    found = node.run("gc", "--json").json
    assert found["garbage_blocks"] == left
    assert blocks_here(node) == 0
    assert node.run("verify").code == 0
