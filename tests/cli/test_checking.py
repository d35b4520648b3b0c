"""A holder dies: what list, status and providers say before and after they ask."""

from __future__ import annotations

import re
from pathlib import Path

from dhtstore.model.cid import Cid
from tests.cli.terminal import Daemons, run

CONTENT = b"kept by two"


def test_a_holder_that_died_is_told_from_one_that_lives(daemons: Daemons) -> None:
    first = daemons("first", "--capacity", "100MB")
    second = daemons("second", "--capacity", "100MB", first.ticket)
    put = first.run("put", "-", "--replicas", "2", "--name", "kept", stdin=CONTENT)
    cid = str(Cid.of(CONTENT))
    assert (put.code, put.last_line) == (0, cid)
    assert put.err.splitlines()[-1] == "2 copies on 1 host in 1 subnet"
    assert first.run("status", cid, "--check").code == 0
    second.kill()
    [line] = first.run("list").text.splitlines()
    proved = r"(just now|\d+ seconds? ago)"
    assert re.search(rf"kept .* safe, 2 copies on 1 network, last proved {proved}$", line)
    remembered = first.run("status", cid, "--json").json
    assert (remembered["copies"], remembered["checked"]) == (2, False)
    asked = first.run("status", cid, "--check", "--json")
    assert asked.code == 7
    assert (asked.json["copies"], asked.json["replicas"], asked.json["min_acks"]) == (1, 2, 2)
    [unit] = asked.json["units"]
    states = {holder["node"]: holder["state"] for holder in unit["holders"]}
    assert states == {first.node: "live", second.node: "silent"}
    checked = first.run("list", "--check", "--json")
    assert checked.code == 7
    assert "1 put has fewer live copies" in checked.err
    [row] = checked.json
    assert (row["name"], row["copies"], row["replicas"]) == ("kept", 1, 2)
    assert row["proved"]["unix_s"] >= row["created"]["unix_s"]
    assert (
        "1 of 2: its holders repair it by themselves, if others take it" in first.run("list").text
    )
    told = first.run("status", "kept").text.splitlines()
    assert told[0].startswith("kept: 1 of 2: ")
    assert told[1].startswith("lost within a year: ")
    assert "nothing was measured yet" in told[1]
    assert told[2].startswith("next: ")
    providers = first.run("providers", cid, "--check")
    assert providers.code == 0  # this node has it
    assert "silent" in providers.text
    assert first.run("receipts", f"{cid}/below").code == 2


def test_a_visitor_is_told_what_it_knows_and_what_it_cannot_know(
    daemons: Daemons, tmp_path: Path
) -> None:
    first = daemons("first", "--capacity", "100MB")
    second = daemons("second", "--capacity", "100MB", first.ticket)
    home = ("--home", tmp_path / "visitor")
    seed = ("--seed", first.ticket)
    assert (
        run("put", "-", "--replicas", "2", "--name", "kept", *home, *seed, stdin=CONTENT).code == 0
    )
    told = run("status", "kept", *home, *seed).text.splitlines()
    assert told[0].startswith("kept: safe, 2 copies on 1 network, last proved ")
    assert told[1].startswith("lost within a year: 1 in 120 (by the assumption")
    assert told[2] == (
        "this node holds no copy, so it watches no holder and cannot know who died or repaired"
        " since: --check asks the holders"
    )
    second.kill()
    asked = run("status", "kept", "--check", *home, *seed)
    assert asked.code == 7
    assert asked.text.splitlines()[0].startswith("kept: 1 of 2: its holders repair it")
    assert "this is what they answered just now" in asked.text
    assert "1 of 2: its holders repair it" in run("list", *home).text
    [gone] = [
        line for line in run("receipts", "kept", *home).text.splitlines() if second.node in line
    ]
    assert " silent: " in gone
