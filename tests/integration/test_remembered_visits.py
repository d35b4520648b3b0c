"""What a visitor puts (--seed, dhtstore.open(None)) is remembered in the home it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from dhtstore import sync
from dhtstore.errors import HomeInUse
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.signing import sign
from dhtstore.net.crypto import Ed25519Signer
from dhtstore.node.context import Ledger
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from dhtstore.trace import no_trace
from tests.cli.terminal import Ran, run

NETWORK = "visits"
LATER = 1_000_000  # of sequence numbers: what a clock that is so many seconds ahead gives
CONTENT = b"brought by a visitor"


@pytest.fixture
def ticket(tmp_path: Path) -> Iterator[str]:
    """Of a storage node that takes what visitors put."""
    node = sync.open(tmp_path / "a", listen="127.0.0.1:0", network=NETWORK, capacity="50 MB")
    with node as client:
        yield client.identity().ticket


def put(home: Path, ticket: str) -> Ran:
    counts = ("--replicas", "1", "--min-acks", "1")
    where = ("--home", str(home), "--seed", ticket)
    return run("put", "-", "--name", "brought", "--json", *counts, *where, stdin=CONTENT)


def test_a_put_through_a_seed_is_listed_later(tmp_path: Path, ticket: str) -> None:
    home = tmp_path / "home"
    brought = put(home, ticket)
    assert brought.code == 0, brought.err
    [row] = run("list", "--home", home, "--json").json
    assert (row["name"], row["cid"], row["copies"]) == ("brought", brought.json["cid"], 1)
    kept = run("receipts", row["cid"], "--home", home, "--json")
    assert kept.json == brought.json["receipts"]
    assert run("cat", "brought", "--home", home, "--seed", ticket).out == CONTENT  # by its name
    told = run("status", row["cid"], "--home", home, "--seed", ticket, "--json").json
    assert told["replicas"] == 1
    missing = run("list", "--home", tmp_path / "other", "--json")
    assert missing.code == 9  # nothing is made of reading


def test_a_node_may_live_there_later_and_knows_of_it(tmp_path: Path, ticket: str) -> None:
    home = tmp_path / "home"
    assert put(home, ticket).code == 0
    assert run("verify", "--home", home, "--json").json["blocks"] == 0
    with sync.open(home, seeds=ticket, network=NETWORK, listen="127.0.0.1:0", capacity=0) as node:
        assert [row.name for row in node.puts()] == ["brought"]


def test_a_second_put_is_newer_whatever_the_clock_said(tmp_path: Path, ticket: str) -> None:
    home = tmp_path / "home"
    first = put(home, ticket).json
    used = _used_later(home, Cid.parse(first["cid"]))
    second = put(home, ticket)
    assert second.code == 0, second.err
    assert [receipt["policy_seq"] for receipt in second.json["receipts"]] == [used + 1]


def _used_later(path: Path, root: Cid) -> int:
    """Make the put of ``root`` one of a clock that was ahead; its sequence number."""
    home = Home(path)
    owner = Ed25519Signer(home.key_seed("owner", b""))
    with closing(SqliteKeyValue(home.ledger)) as table:
        ledger = Ledger.of(table, no_trace)
        record = ledger.puts.get(root)
        assert record is not None
        number = record.policy.sequence + LATER
        policy = sign(changed(record.policy, sequence=number), Network(NETWORK), owner)
        ledger.puts.save(replace(record, policy=policy), ledger.roots.units(root))
    return number


def test_where_a_node_runs_the_put_is_refused_before_bytes_move(
    tmp_path: Path, ticket: str
) -> None:
    home = tmp_path / "home"
    with sync.open(home, listen="127.0.0.1:0", network=NETWORK, capacity=0):
        refused = put(home, ticket)
        assert (refused.code, refused.out) == (2, b"")
        error = json.loads(refused.err)["error"]
        assert error["kind"] == "HomeInUse"
        assert "leave --seed away" in error["hint"]
        other = run("ls", "bafkqaaa", "--home", home, "--seed", ticket, "--timeout", "5s")
        assert "is in use" not in other.err  # what reads only is welcome


def test_the_library_remembers_in_the_default_home(
    tmp_path: Path, ticket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DHTSTORE_HOME", str(tmp_path / "home"))
    with sync.open(None, seeds=ticket) as visitor:
        cid = visitor.put(CONTENT, replicas=1).cid
    with sync.read_home() as kept:
        assert [row.cid for row in kept.puts()] == [cid]
    with (
        sync.open(tmp_path / "home", listen="127.0.0.1:0", network=NETWORK, capacity=0),
        sync.open(None, seeds=ticket) as visitor,
    ):
        assert visitor.cat(cid) == CONTENT
        with pytest.raises(HomeInUse):
            visitor.put(CONTENT)


def test_what_its_owner_wants_is_known_to_the_network_when_the_visit_is_over(
    tmp_path: Path, ticket: str
) -> None:
    """Or else another machine of the owner could not say what it wants from then on."""
    home, other = tmp_path / "home", tmp_path / "other"
    cid = put(home, ticket).json["cid"]
    key = run("owner", "export", "-q", "--home", home).out
    assert run("owner", "import", "-", "--home", other, stdin=key).code == 0
    with sync.open(other, seeds=ticket, network=NETWORK, listen="127.0.0.1:0", capacity=0) as node:
        assert node.policy(cid).replicas == 1
        assert node.remove(cid).told == 1
