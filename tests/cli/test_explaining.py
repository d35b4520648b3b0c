"""Commands that fail between real processes name the cause, and --explain tells the rest."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

from tests.cli.terminal import Daemon, Daemons, Ran, run

SIZE_BYTES = 3_000_000


def put_at_one(daemons: Daemons) -> tuple[Daemon, Daemon, str]:
    """A holder, a node without anything, and what only the holder has."""
    index = daemons("index", "--capacity", "0")
    holder = daemons("holder", "--capacity", "100MB", index.ticket)
    reader = daemons("reader", "--capacity", "0", index.ticket)
    cid = holder.put(os.urandom(SIZE_BYTES), "--replicas", "1", "--min-acks", "1")
    return holder, reader, cid


def verdict(ran: Ran) -> str:
    """The one line; a hint follows, and nothing else."""
    lines = [line for line in ran.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], ran.err
    return lines[0]


def failure(ran: Ran) -> Any:
    return json.loads(ran.err.splitlines()[-1])["error"]


def test_a_holder_that_was_killed_one_that_stopped_and_one_whose_place_another_took(
    daemons: Daemons, tmp_path: Path
) -> None:
    holder, reader, cid = put_at_one(daemons)
    target = tmp_path / "copy"

    os.kill(holder.process.pid, signal.SIGSTOP)
    late = reader.run("get", cid, "-o", target, "--timeout", "2s", "--explain")
    os.kill(holder.process.pid, signal.SIGCONT)
    assert late.code == 6
    assert "not done within 2 s: " in verdict(late)
    assert f"node {holder.node}" in verdict(late)
    assert "lookup 1 at " in late.err

    address = holder.address
    holder.kill()
    closed = reader.run("get", cid, "-o", target, "--json")
    told = failure(closed)
    assert (closed.code, told["exit_code"], told["report"]["cause"]) == (4, 4, "dial-refused")
    assert f"1 refused the connection at {address}" in told["message"]
    assert f"`dhtstore ping {holder.node}` tries it" in told["hint"]

    daemons("another", "--capacity", "0", "--listen", address, reader.ticket)
    taken = reader.run("cat", cid, "--explain")
    assert taken.code == 4
    assert "1 not there: another node answers at" in verdict(taken)
    assert "wrong-node" in taken.err


def test_a_full_disk_here_is_told_apart_from_the_holders(daemons: Daemons, tmp_path: Path) -> None:
    holder, reader, cid = put_at_one(daemons)

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_BYTES // 2, SIZE_BYTES // 2))

    alone = ("--seed", reader.ticket, "--home", tmp_path / "home", "--json")
    full = run("get", cid, "-o", tmp_path / "full", *alone, before=small_files)
    told = failure(full)
    assert (full.code, told["report"]["cause"]) == (8, "own-disk")
    assert [each["node"] for each in told["report"]["holders"]] == [holder.node]
