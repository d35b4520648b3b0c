"""A holder dies: what list, status and providers say before and after they ask."""

from __future__ import annotations

import re

from dhtstore.model.cid import Cid
from tests.cli.terminal import Daemons

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
    assert re.search(r"kept .* safe, 2 copies on 1 network, last proved \d+ seconds? ago$", line)
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
    assert "1 of 2: `dhtstore repair`, or putting it again" in first.run("list").text
    told = first.run("status", "kept").text.splitlines()
    assert told[0].startswith("kept: 1 of 2: ")
    assert told[1].startswith("lost within a year: ")
    assert "nothing was measured yet" in told[1]
    assert told[2].startswith("next: ")
    providers = first.run("providers", cid, "--check")
    assert providers.code == 0  # this node has it
    assert "silent" in providers.text
    assert first.run("receipts", f"{cid}/below").code == 2
