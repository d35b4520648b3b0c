"""Starting, seeding, refusing and stopping nodes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

from tests.cli.conftest import Network
from tests.cli.terminal import Daemons, end, run, start
from tests.source_tree import ROOT


def test_join_prints_its_ticket_and_nothing_else_and_stops_cleanly(daemons: Daemons) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon = daemons("node")
        daemon.process.send_signal(number)
        ran = end(daemon.process)
        assert ran.code == 0, ran.err
        assert ran.out == b""  # the ticket was read before, and nothing came after it
        assert daemon.ticket.startswith("dht1")


def test_id_is_stable_over_restarts(daemons: Daemons) -> None:
    before = daemons("node")
    seen = before.run("id", "--json").json
    assert set(seen) >= {"node", "public_key", "owner", "addresses", "ticket"}
    assert seen["ticket"] == before.ticket
    assert re.fullmatch("[0-9a-f]{40}", seen["node"])
    before.stop()
    again = daemons("node").run("id", "--json").json
    assert {key: again[key] for key in ("node", "public_key", "owner")} == {
        key: seen[key] for key in ("node", "public_key", "owner")
    }


def test_the_readme_names_exactly_what_is_in_a_data_directory(daemons: Daemons) -> None:
    seed = daemons("seed")
    node = daemons("node", seed.address)
    table = (ROOT / "README.md").read_text().partition("## Data directory")[2].partition("\n## ")[0]
    named = {
        name.rstrip("/")
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])
    }
    present = {name.removesuffix("-wal").removesuffix("-shm") for name in os.listdir(node.home)}
    assert present == named


def test_settings_of_the_first_start_are_kept(daemons: Daemons) -> None:
    first = daemons("node", "--capacity", "123 MB", "--domain", "shed")
    assert first.run("status", "--json").json["capacity"] == 123_000_000
    first.stop()
    kept = run("config", "--home", first.home, "--json").json
    assert (kept["capacity"], kept["domain"], kept["network"]) == (123_000_000, "shed", "tests")


def test_a_node_rejoins_the_peers_it_saved(daemons: Daemons) -> None:
    seed = daemons("seed")
    node = daemons("node", seed.ticket)
    known = seed.node
    node.stop()
    again = daemons("node")
    assert known in [row["node"] for row in again.run("peers", "--json").json]


def test_a_second_node_on_one_home_is_refused_and_told_by_whom(network: Network) -> None:
    first = network.storage[0]
    ran = first.run("join", "--listen", "127.0.0.1:0")
    assert ran.code == 2
    assert str(first.process.pid) in ran.err
    assert first.run("id").code == 0


def test_a_node_killed_with_sigkill_leaves_a_home_that_starts_again(daemons: Daemons) -> None:
    first = daemons("node")
    first.kill()
    assert first.run("peers").code == 9
    assert daemons("node").run("id").code == 0


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = run("join", "--home", tmp_path, "--listen", listen)
    assert ran.code == 2
    assert "cannot listen" in ran.err
    assert "--listen" in ran.err
    assert ran.out == b""


def test_a_tcp_port_in_use(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = run("join", "--home", tmp_path, "--listen", listen)
    assert ran.code == 2
    assert "cannot listen" in ran.err


def test_a_ticket_with_a_flipped_character(network: Network, tmp_path: Path) -> None:
    ticket = network.ticket
    at = len(ticket) // 2
    wrong = ticket[:at] + ("a" if ticket[at] != "a" else "b") + ticket[at + 1 :]
    ran = run("join", "--home", tmp_path, "--listen", "127.0.0.1:0", wrong)
    assert ran.code == 2
    assert "not a ticket" in ran.err
    assert run("peers", "--home", tmp_path, "--seed", wrong).code == 2


def test_another_network_is_refused(network: Network, tmp_path: Path) -> None:
    address = network.storage[0].address
    for seed in (network.ticket, address):
        options = ("--listen", "127.0.0.1:0", "--network", "another")
        ran = run("join", "--home", tmp_path, *options, seed)
        assert ran.code == 10, ran.err
        assert "another" in ran.err
        assert ran.out == b""
    assert not (tmp_path / "config.toml").exists()  # a start that failed decides nothing
    assert run("config", "--home", tmp_path, "network").text == "main\n"


def test_a_seed_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        seed = f"127.0.0.1:{unused.getsockname()[1]}"
        ran = run("join", "--home", tmp_path, "--listen", "127.0.0.1:0", seed)
    assert ran.code == 4
    assert seed in ran.err


def test_a_seed_by_address_is_shown_and_pinned(daemons: Daemons, tmp_path: Path) -> None:
    seed = daemons("seed")
    key = seed.run("id", "--json").json["public_key"]
    listen = seed.address
    node = daemons("node", listen)
    assert key in node.stop().err
    assert key not in daemons("node", listen).stop().err  # known by now
    seed.stop()
    home = tmp_path / "impostor"
    options = ("--home", home, "--network", "tests", "--listen", listen)
    impostor = start("join", *options)
    assert impostor.stdout is not None
    assert impostor.stdout.readline().startswith(b"dht1")
    ran = run("join", "--home", node.home, "--listen", "127.0.0.1:0", listen)
    impostor.terminate()
    end(impostor)
    assert ran.code == 10, ran.err
    assert "`seeds`" in ran.err  # where the old key is, for whoever trusts the new one


def test_a_log_for_programs_is_nothing_but_objects(daemons: Daemons) -> None:
    seed = daemons("seed")
    told = ("--log-level", "info", "--log-format", "json")
    daemon = daemons("told", *told, seed.address)
    lines = [json.loads(line) for line in daemon.stop().err.splitlines()]
    assert {"remark", "node.joined", "node.stopping"} <= {line["event"] for line in lines}
    assert any("pinned" in line["message"] for line in lines if line["level"] == "warning")
