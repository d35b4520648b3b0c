"""What an owner has put is changed and ended from another machine that has the owner's key, and by
holders that were away; what two owners have put is each one's own."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dhtstore import sync
from tests.cli.terminal import Daemon, Daemons, machine_at, run

CONTENT = os.urandom(300_000)


def owners(tmp_path: Path) -> tuple[Path, Path]:
    """The data directories of two machines of one owner."""
    first, second = tmp_path / "machine", tmp_path / "other machine"
    with machine_at(first):
        pass
    key = run("owner", "export", "-q", "--home", first).out
    assert run("owner", "import", "-", "--home", second, stdin=key).code == 0
    return first, second


def units(daemon: Daemon) -> int:
    with sync.connect(daemon.home) as node:
        return node.status().units


def freed(daemon: Daemon, within_s: float = 30.0) -> bool:
    """Whether it comes to hold nothing."""
    ends_s = time.monotonic() + within_s
    while units(daemon) and time.monotonic() < ends_s:
        time.sleep(0.2)  # it asks the network by itself
    return not units(daemon)


def test_policy_and_rm_work_from_another_machine_and_reach_who_was_away(
    daemons: Daemons, tmp_path: Path
) -> None:
    first, second = owners(tmp_path)
    holders = [daemons("h0")]
    holders += [daemons(f"h{number}", holders[0].ticket) for number in (1, 2)]
    seeds = holders[0].ticket
    with machine_at(first, seeds) as machine:
        cid = machine.put(CONTENT, replicas=3).cid
    with machine_at(second, seeds) as machine:
        changed = machine.policy(cid, replicas=2, ttl="30d")
        assert (changed.replicas, changed.told, changed.stored) == (2, 3, True)
        holders[2].kill()
        removed = machine.remove(cid)
        assert (removed.told, removed.unreached, removed.stored) == (2, 1, True)
    assert [units(each) for each in holders[:2]] == [0, 0]
    back = daemons("h2", holders[0].ticket)
    assert freed(back)
    collected = run("gc", "--home", back.home, "--json")
    assert collected.code == 0, collected.err
    with sync.connect(back.home) as node:
        assert node.status().blocks == 0


def test_of_two_owners_each_ends_its_own_and_is_told_of_the_other(
    daemons: Daemons, tmp_path: Path
) -> None:
    first = daemons("h0")
    second = daemons("h1", first.ticket)
    seeds = first.ticket
    with (
        machine_at(tmp_path / "alice", seeds) as alice,
        machine_at(tmp_path / "bob", seeds) as bob,
        sync.connect(second.home) as holder,
    ):
        cid = alice.put(CONTENT, replicas=2).cid
        before = holder.status()
        assert bob.put(CONTENT, replicas=2).cid == cid
        after = holder.status()
        assert (after.blocks, after.units) == (before.blocks, before.units) == (1, 1)
        assert before.room is not None
        assert after.room is not None
        assert after.room.others > 1.9 * before.room.others, "each pays for all of it"
        removed = alice.remove(cid)
        assert (removed.told, removed.others) == (2, 2)
        assert [row.cid for row in alice.puts()] == []
        assert bob.cat(cid) == CONTENT
        removed = bob.remove(cid)
        assert (removed.told, removed.others) == (2, 0)
        assert holder.status().units == 0
