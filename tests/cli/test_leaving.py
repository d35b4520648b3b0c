"""A node that leaves for good, by its exit code and that of the command."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dhtstore import sync
from dhtstore.errors import DhtstoreError
from dhtstore.operations.operation import Progress
from tests.cli.terminal import Daemon, Daemons, machine_at


def test_a_node_ends_once_others_have_all_and_stays_where_nobody_takes_it(
    daemons: Daemons,
) -> None:
    first = daemons("first")
    second = daemons("second", first.ticket)
    content = os.urandom(700_000)
    root = first.put(content, "--replicas", "1")
    left = first.run("leave")
    assert left.code == 0, left.err
    assert "1 copy made elsewhere" in left.text
    first.process.wait(timeout=30)
    assert first.stop().code == 0
    stays = second.run("leave", "--json")
    assert stays.code == 7
    [unit] = stays.json["units"]
    assert unit["why"] == (
        "0 other copies are proved, 1 wanted; no storage node without a copy was found"
    )
    assert "this node is leaving" in second.run("status").err + second.run("status").text
    assert second.run("leave", "--cancel").text == "this node stays\n"
    assert second.run("leave", "--cancel").text == "this node was not leaving, and stays\n"
    assert "this node is leaving" not in second.run("status").err
    assert second.run("get", root, "-o", "-").out == content


def test_one_that_is_killed_in_the_middle_stays_or_goes_on(
    daemons: Daemons, tmp_path: Path
) -> None:
    """What was handed over by then is with others, what was not is here, and it still leaves."""
    leaver = daemons("leaver")
    content = [os.urandom(100_000 + number) for number in range(12)]
    with machine_at(tmp_path / "user", leaver.ticket) as user:
        contents = {user.put(data, replicas=1).cid: data for data in content}
        taker = daemons("taker", leaver.ticket)
        kill_while_it_leaves(leaver)
        leaver = daemons("leaver", taker.ticket)
        with sync.connect(leaver.home) as node, sync.connect(taker.home) as other:
            assert any("is leaving" in text for text in node.status().warnings)
            there, here = other.status().units, node.status().units
            assert 0 < there < len(content) <= here + there
            assert node.leave(cancel=True).cancelled
            assert node.status().warnings == []
            assert [user.cat(cid) for cid in contents] == content
            assert node.leave().left
        assert leaver.process.wait(timeout=30) == 0
        assert [user.cat(cid) for cid in contents] == content


def kill_while_it_leaves(leaver: Daemon) -> None:
    """SIGKILL once some of what it holds is with others."""

    def watch(progress: Progress) -> None:
        if 0 < (progress.total_bytes or 0) < 2 * progress.done_bytes:
            leaver.kill()

    with sync.connect(leaver.home) as node:
        node.set_limits(up="500kB/s")
        with suppress(DhtstoreError):  # nobody is left to answer
            node.leave(progress=watch)
    assert leaver.process.returncode is not None
