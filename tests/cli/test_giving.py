"""What a node says that it gives, to whom, and what of its settings counts when."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cli.terminal import Daemon, Daemons, run


def test_join_says_what_it_gives_to_whom_and_config_changes_it_at_once(
    daemons: Daemons,
) -> None:
    node = daemons("a", "--capacity", "50MB", "--accept", "mine")
    refused = node.run("config", "capacity", "1000PB")
    assert refused.code == 2
    assert "is more than there is: the disk of" in refused.err
    assert "are free" in refused.err
    node.put(bytes(700_000), "--replicas", "1")
    room = node.run("status", "--json").json["room"]
    assert room["accept"] == "mine"
    assert 700_000 < room["own"] < 800_000
    assert (room["others"], room["reserved"], room["shares"]) == (0, 0, [])
    assert 48_000_000 < room["free"] < room["disk_free"]
    told = node.run("status").text
    assert "50.0 MB for its own owner" in told
    assert "claimed: " in told
    assert " own, 0 B of others (" in told
    assert "disk_free: " in told
    changed = node.run("config", "capacity", "60MB")
    assert changed.code == 0
    assert "gives 60.0 MB now, 50.0 MB before; " in changed.err
    assert node.run("status", "--json").json["capacity"] == 60_000_000
    less = node.run("config", "capacity", "1MB")
    assert "nothing new is stored here until it fits" not in less.err, "it fits"
    refused = node.run("put", "-", "--replicas", "1", stdin=os.urandom(500_000))
    assert refused.code == 8
    node.run("config", "capacity", "60MB")
    client = node.run("config", "capacity", "0")
    assert "it is written; the node that runs here becomes a client at its next start" in client.err
    assert node.run("status", "--json").json["capacity"] == 60_000_000
    later, here = node.run("config", "owner_quota", "1MB"), f"(pid {node.process.pid})"
    assert later.err.strip().endswith(
        f"owner_quota counts from the next start of the node that runs here {here}"
    )
    said = node.stop().err
    assert "to its own owner only; change with `dhtstore config capacity|accept`" in said
    assert "0 peers answered" in said
    quiet = node.run("config", "replicas", "2")
    assert (quiet.code, quiet.err) == (0, "")


def test_join_is_not_given_more_than_the_disk_has(tmp_path: Path) -> None:
    refused = run(
        "join", "--home", tmp_path / "a", "--listen", "127.0.0.1:0", "--capacity", "900PB"
    )
    assert refused.code == 2
    assert "is more than there is: the disk of" in refused.err


def test_a_line_of_the_list_of_owners_that_is_no_key_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "friends"
    listed.write_text(f"# of the club\n{bytes(32).hex()}\nbob\n")
    rule = f"owners {listed}"
    refused = run("join", "--home", tmp_path / "a", "--listen", "127.0.0.1:0", "--accept", rule)
    assert refused.code == 2
    assert f"{listed}, line 3: 'bob' is no public key" in refused.err
    assert os.listdir(tmp_path / "a") != []


def test_nodes_on_one_disk_see_what_each_other_promised(daemons: Daemons, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    first = daemons("a", "--capacity", str(free * 3 // 5))
    assert warnings_of(first) == []
    second = daemons("b", "--capacity", str(free * 3 // 5), first.ticket)
    for node in (first, second):
        assert any("of which other nodes here have promised" in each for each in warnings_of(node))
    third = daemons("c", first.ticket)
    assert third.run("config", "capacity").text == "0\n"
    first.stop()
    assert warnings_of(second) == []


def warnings_of(node: Daemon) -> list[str]:
    return list(node.run("status", "--json").json["warnings"])
