"""What lies in a data directory is told without a node, through the API and the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dhtstore import sync
from dhtstore.cli import main
from dhtstore.errors import HomeInUse, HomeUnusable, NotHere, NotRunning
from dhtstore.net.local import client
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.cli.terminal import Daemon, run

CONTENT = b"what was put before"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of a storage node that put something, pinned it by that, and has stopped."""
    path = tmp_path / "home"
    listen = {"listen": "127.0.0.1:0", "network": "offline", "capacity": "50 MB"}
    with sync.open(path, **listen) as node:  # type: ignore[arg-type]
        node.put(CONTENT, replicas=1, name="before")
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    """What a command prints as JSON; it says nothing else."""
    assert main.run([*map(str, arguments), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return json.loads(said.out)


def test_every_command_that_only_reads_the_home(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", home)
    [put] = told(capsys, "list", *at)
    assert (put["name"], put["size"], put["copies"]) == ("before", len(CONTENT), 1)
    [receipt] = told(capsys, "receipts", put["cid"], *at)
    assert told(capsys, "receipts", "before", *at) == [receipt]
    assert receipt["root"] == put["cid"]
    assert told(capsys, "pin", "ls", *at) == [{"cid": put["cid"], "kind": "put", "name": "before"}]
    found = told(capsys, "verify", *at)
    assert (found["blocks"], found["size"], found["damaged"]) == (1, len(CONTENT), [])
    status = told(capsys, "status", *at)
    assert (status["running"], status["puts"], status["blocks"], status["units"]) == (
        False,
        1,
        1,
        1,
    )
    assert (status["peers"], status["uptime_s"]) == (None, None)
    assert status["capacity"] == 50_000_000
    assert (status["room"]["own"] > 0, status["room"]["others"]) == (True, 0)
    me = told(capsys, "id", *at)
    assert (me["node"], me["network"]) == (receipt["node"], "offline")
    assert (me["addresses"], me["ticket"]) == ([], "")  # the system chooses the port anew


def test_the_status_for_people_says_that_no_node_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["status", "--home", str(home)]) == 0
    said = capsys.readouterr()
    assert "running:          no" in said.out
    assert "no node runs here" in said.err


def test_an_identity_has_the_addresses_of_the_next_start(tmp_path: Path) -> None:
    with sync.open(tmp_path, listen="127.0.0.1:0", capacity=0) as node:
        running = node.identity()
    assert run("config", "--home", tmp_path, "listen", "127.0.0.1:7399").code == 0
    with sync.read_home(tmp_path) as kept:
        told = kept.identity()
    assert (told.node, told.owner) == (running.node, running.owner)
    assert told.addresses == ["127.0.0.1:7399"]
    assert told.ticket.startswith("dht1")


def test_what_needs_a_node_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["peers"], ["put", str(home)], ["status", "bafkqaaa"], ["ls", "bafkqaaa"]):
        assert main.run([*arguments, "--home", str(home), "--json"]) == 9
        said = capsys.readouterr()
        assert said.out == ""
        error = json.loads(said.err)["error"]
        assert "dhtstore join" in error["hint"]
    with sync.read_home(home) as kept:
        assert [put.name for put in kept.puts()] == ["before"]
        with pytest.raises(NotRunning):
            kept.peers()
        with pytest.raises(NotHere):
            kept.receipts("bafkqaaa")


def test_nothing_is_made_where_nothing_lies(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        for command in ("list", "verify", "status", "id"):
            ran = run(command, "--home", tmp_path / name)
            assert (ran.code, ran.out) == (9, b"")
            assert str(tmp_path / name) in ran.err
    assert not (tmp_path / "missing").exists()
    assert not (tmp_path / "empty" / "ledger.sqlite").exists()


def test_a_later_layout_is_refused(home: Path) -> None:
    (home / "version").write_text("99\n")
    with sync.read_home(home) as kept, pytest.raises(HomeUnusable, match="layout '99'"):
        kept.puts()


def test_no_node_starts_while_a_home_is_read_and_readers_do_not_meet(home: Path) -> None:
    reading, beside = Home(home).lock_to_read(), Home(home).lock_to_read()
    try:
        with sync.read_home(home) as kept:
            assert len(kept.puts()) == 1
        with pytest.raises(HomeInUse, match="a command that needs no node"):
            Home(home).lock()
    finally:
        reading.close()
        beside.close()
    Home(home).lock().close()


def test_a_home_that_is_held_by_what_does_not_answer(home: Path) -> None:
    node = Home(home).lock()
    try:
        with (
            sync.read_home(home) as kept,
            pytest.raises(NotRunning, match=f"{os.getpid()}") as held,
        ):
            kept.puts()
        assert "starting or stopping" in held.value.hint
    finally:
        node.close()


def test_a_socket_that_nobody_listens_on_any_more_is_no_node(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "control.sock"))
    with sync.read_home(home) as kept:
        assert len(kept.puts()) == 1


def test_a_node_that_listens_and_does_not_answer(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_ANSWER_MAX_S", 0.1)
    node = Home(home).lock()
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(home / "control.sock"))
        stuck.listen()
        assert main.run(["list", "--home", str(home), "--json"]) == 9
        assert f"process {os.getpid()}" in json.loads(capsys.readouterr().err)["error"]["message"]
        with sync.read_home(home) as kept, pytest.raises(NotRunning, match="does not answer"):
            kept.status()
    node.close()


def test_damage_that_is_found_without_a_node_is_remembered(home: Path) -> None:
    pack = next((home / "blocks").glob("*.pack"))
    pack.write_bytes(pack.read_bytes().replace(CONTENT[:4], b"rot!"))
    ran = run("verify", "--home", home, "--json")
    assert ran.code == 5
    assert len(ran.json["damaged"]) == 1
    assert json.loads(ran.err)["error"]["kind"] == "StoreDamaged"
    assert run("status", "--home", home, "--json").json["damaged_blocks"] == 1


def test_a_node_that_was_killed_leaves_all_it_acknowledged_to_be_read(tmp_path: Path) -> None:
    node = Daemon(tmp_path / "node", "--capacity", "50MB")
    cid = node.put(CONTENT, "--replicas", "1")
    node.process.send_signal(signal.SIGKILL)
    node.kill()
    [row] = node.run("list", "--json").json
    assert (row["cid"], row["copies"]) == (cid, 1)
    assert node.run("verify", "--json").json["blocks"] == 1
    assert node.run("status", "--json").json["running"] is False


def test_puts_that_cannot_be_read_are_told(home: Path) -> None:
    with closing(SqliteKeyValue(home / "ledger.sqlite")) as ledger:
        [(key, row)] = ledger.scan(b"put/")
        ledger.write([(key + b"1", row[:20]), (key + b"2", b"")])
    ran = run("list", "--home", home, "--json")
    assert ran.code == 0
    assert [each["name"] for each in ran.json] == ["before"]
    assert "2 of the puts here cannot be read" in ran.err
    with sync.open(home) as node:
        assert len(node.puts()) == 1
        assert any("2 of the puts here cannot be read" in each for each in node.status().warnings)


def test_blocks_whose_ledger_is_lost_are_not_taken_for_a_new_home(home: Path) -> None:
    os.truncate(home / "ledger.sqlite", 0)
    for command in ("list", "status", "join"):
        ran = run(command, "--home", home)
        assert (ran.code, ran.out) == (2, b"")
        assert "the ledger of this home is empty" in ran.err
        assert f"mv {home}/blocks {home}/blocks.lost" in ran.err
    assert (home / "ledger.sqlite").stat().st_size == 0
