"""A node that leaves for good, by its exit code and that of the command."""

from __future__ import annotations

import os

from tests.cli.terminal import Daemons


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
    assert unit["why"] == "0 other copies are proved, 1 wanted; no other storage node was found"
    assert "this node is leaving" in second.run("status").err + second.run("status").text
    assert second.run("leave", "--cancel").code == 0
    assert "this node is leaving" not in second.run("status").err
    assert second.run("get", root, "-o", "-").out == content
