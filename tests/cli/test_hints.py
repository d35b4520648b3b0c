"""What is refused says what is wrong and what would help, fitting the case."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dhtstore.cli import main
from dhtstore.cli.naming import completing
from dhtstore.model.cid import Cid
from tests.cli.conftest import Network
from tests.cli.terminal import Daemons, Ran, run

ABSENT = str(Cid.of(b"nobody ever put this either"))


def hint(ran: Ran) -> str:
    return ran.err.splitlines()[-1].removeprefix("hint: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pin", "rm", ABSENT), "`dhtstore pin ls`"),
        (("receipts", ABSENT), "`dhtstore list`"),
        (("ping", "00" * 20), "`dhtstore peers`"),
        (("stat", f"{Cid.of(b'')}/no/such"), "`dhtstore ls"),
    ],
)
def test_each_kind_of_not_found_has_its_own_hint(
    network: Network, arguments: tuple[str, ...], words: str
) -> None:
    network.client.put(b"")
    ran = run(*arguments, "--home", network.client.home)
    assert ran.code == 3, ran.err
    assert words in hint(ran)


def test_a_symbolic_link_by_itself_is_no_malformed_content(
    network: Network, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("elsewhere")
    cid = network.storage[0].run("put", tmp_path / "tree").text.strip()
    ran = network.client.run("get", f"{cid}/link", "-o", tmp_path / "out")
    assert ran.code == 2, ran.err
    assert "a symbolic link to 'elsewhere'" in ran.err
    assert "the directory" in hint(ran)
    assert os.listdir(tmp_path) == ["tree"]


def test_a_target_that_must_be_a_directory_is_made_one(network: Network, tmp_path: Path) -> None:
    cid = network.storage[0].put(b"into a directory", "--replicas", "1")
    ran = network.client.run("get", cid, "-o", "newdir/", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert os.listdir(tmp_path / "newdir") == [cid]
    ran = network.client.run("get", cid, "-o", "no/where/", cwd=tmp_path)
    assert ran.code == 2, ran.err
    assert "cannot write into no/where: No such file or directory" in ran.err
    (tmp_path / cid).write_bytes(b"precious")
    ran = network.client.run("get", cid, cwd=tmp_path)
    assert "exists already" in ran.err
    assert "--force" in ran.err
    assert network.client.run("get", cid, "-f", cwd=tmp_path).code == 0
    assert (tmp_path / cid).read_bytes() == b"into a directory"


def test_sizes_say_what_they_count(network: Network, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "five").write_bytes(b"bytes")
    cid = network.storage[0].run("put", tmp_path / "tree").text.strip()

    def fields(target: str) -> dict[str, str]:
        lines = network.storage[0].run("stat", target).text.splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    assert (fields(f"{cid}/five")["size"], fields(f"{cid}/five")["here"]) == ("5", "yes")
    assert "size" not in fields(cid)
    assert int(fields(cid)["dag_size"]) > 5


def test_the_store_that_is_damaged_does_not_ask_to_be_verified_again(daemons: Daemons) -> None:
    data = os.urandom(5000)
    node = daemons("rotten", "--capacity", "100MB")
    node.put(data, "--replicas", "1")
    for path in (node.home / "blocks").rglob("*"):
        stored = path.read_bytes() if path.is_file() else b""
        if data in stored:
            path.write_bytes(stored.replace(data, bytes([data[0] ^ 1]) + data[1:]))
    ran = node.run("verify")
    assert ran.code == 5, ran.err
    assert "put" in hint(ran)
    assert "verify" not in hint(ran)
    node.put(data, "--replicas", "1")  # as the hint says
    assert node.run("verify").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("get", ABSENT, "--pin"),
    ],
)
def test_what_only_a_running_node_can_do(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Refused before anything is dialled: nobody listens behind this seed."""
    ran = run(*arguments, "--home", tmp_path / "home", "--seed", "127.0.0.1:1", cwd=tmp_path)
    assert ran.code == 2, ran.err
    assert "needs a running node" in ran.err
    assert "--seed" in hint(ran)
    assert os.listdir(tmp_path) == []


# --- ping ----------------------------------------------------------------------------------------


def test_a_node_pings_itself(network: Network) -> None:
    node = network.storage[0]
    me = node.run("id", "--json").json
    for name in (me["node"], me["public_key"], me["addresses"][0], me["ticket"]):
        ran = node.run("ping", name)
        assert ran.code == 0, ran.err
        assert ran.text.startswith(f"{me['node']} ")
        assert "this node itself" in ran.text


def test_ping_takes_whatever_names_a_node(network: Network) -> None:
    other = network.storage[1].run("id", "--json").json
    for name in (other["node"], other["public_key"], other["addresses"][0], other["ticket"]):
        ran = network.storage[0].run("ping", name, "--json")
        assert ran.code == 0, ran.err
        assert (ran.json["node"], ran.json["itself"]) == (other["node"], False)
        assert ran.json["address"] == other["addresses"][0]
    for nobody in ("xyz", "00", "10.0.0.1:many", ":1"):
        ran = network.storage[0].run("ping", nobody)
        assert ran.code == 2, ran.err
    ran = network.storage[0].run("ping", "127.0.0.1:1")
    assert ran.code == 4, ran.err
    assert "listens there" in hint(ran)
    ran = network.storage[0].run("ping", other["node"][:16])
    assert ran.code == 0, ran.err


# --- names ---------------------------------------------------------------------------------------


def test_own_names_are_taken_and_completed(
    network: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = network.storage[0]
    cid = node.put(b"so called", "--name", "so-called", "--replicas", "1")
    assert node.run("cat", "so-called").out == b"so called"
    assert node.run("get", "so-called", cwd=tmp_path).code == 0
    assert (tmp_path / "so-called").read_bytes() == b"so called"
    ran = node.run("cat", "so-caled")
    assert ran.code == 2
    assert hint(ran) == "did you mean so-called?"
    monkeypatch.setattr(completing, "COMPLETING_MAX_S", 30.0)  # a busy machine is another matter
    monkeypatch.setenv("_DHTSTORE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_CWORD", "4")
    for typed, offered in (("so-", "so-called"), (cid[:20], cid)):
        monkeypatch.setenv("COMP_WORDS", f"dhtstore cat --home {node.home} {typed}")
        with pytest.raises(SystemExit):
            main.run([])
        assert capsys.readouterr().out.split() == [offered]


# --- what commands left unsaid -------------------------------------------------------------------


def test_a_collection_tells_what_is_only_cached(daemons: Daemons, tmp_path: Path) -> None:
    first = daemons("first", "--capacity", "100MB")
    second = daemons("second", "--capacity", "100MB", first.ticket)
    cid = first.put(os.urandom(100_000), "--replicas", "1")
    assert second.run("get", cid, "--cache", "-o", tmp_path / "out").code == 0
    ran = second.run("gc")
    assert "; 1 block stays\n" in ran.text
    assert "only cached" in ran.text
    told = second.run("gc", "--dry-run", "--json").json
    assert (told["stay_roots"], told["cache_roots"]) == (1, 0)
    assert "only cached" not in second.run("gc", "--cache").text


def test_a_pin_that_is_renamed_says_so(network: Network) -> None:
    node = network.storage[0]
    cid = node.put(os.urandom(1000), "--replicas", "1")
    assert node.run("pin", "add", cid, "--name", "keepme").err == ""
    ran = node.run("pin", "add", cid, "--name", "other")
    assert "it was called keepme before, other now" in ran.err
    assert node.run("pin", "add", cid, "--json").json["before"] == "other"
    assert node.run("pin", "rm", "other").code == 0


def test_a_name_that_nothing_has_hints_at_the_lists(network: Network) -> None:
    for command in (("rm",), ("pin", "rm"), ("stat",)):
        ran = run(*command, "qqqqqqqq", "--home", network.storage[0].home)
        assert ran.code == 2, ran.err
        assert "`dhtstore list`" in hint(ran)


def test_a_car_that_is_refused_is_named(network: Network, tmp_path: Path) -> None:
    (tmp_path / "cut.car").write_bytes(b"\x3a\xa2eroots")
    ran = network.storage[0].run("import", "cut.car", cwd=tmp_path)
    assert ran.code == 5, ran.err
    assert ran.err.startswith("error: cut.car: ")


def test_what_a_symbolic_link_leads_to_is_told_by_cat(network: Network, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("elsewhere")
    cid = network.storage[0].run("put", tmp_path / "tree").text.strip()
    ran = network.client.run("cat", f"{cid}/link")
    assert ran.code == 2, ran.err
    assert "a symbolic link to 'elsewhere'" in ran.err


def test_a_default_capacity_counts_at_once(daemons: Daemons) -> None:
    node = daemons("one", "--capacity", "5MB")
    ran = node.run("config", "capacity", "")
    assert "now, 5.0 MB before" in ran.err
    assert "next start" not in ran.err
    assert node.run("config", "capacity").text == "\n"


def test_a_node_that_finds_no_disk_left_says_why(daemons: Daemons, tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    all_of_it = daemons("all", "--capacity", str(free.f_blocks * free.f_frsize))
    ran = daemons("nothing", all_of_it.ticket).stop()
    assert "gives no disk: a client, since other nodes here have promised" in ran.err
    assert "1 peer answered" in ran.err


def test_a_node_of_another_network_hints_at_that_alone(network: Network, tmp_path: Path) -> None:
    ran = run("join", network.ticket, "--network", "other", "--home", tmp_path / "home")
    assert ran.code == 10, ran.err
    assert "--network" in hint(ran)
    assert "version" not in hint(ran)
    assert "`seeds`" not in hint(ran)
