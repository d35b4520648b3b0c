"""What commands print with --json is what docs/json says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dhtstore import sync
from dhtstore.cli import main
from dhtstore.cli.terminal.common import report
from dhtstore.operations.keeping import PinInfo
from dhtstore.sync import SyncClient
from tests.cli.terminal import end, run, start
from tests.schemas.checking import valid

CONTENT = b"for programs"
MISSING = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
KEY = "00" * 32 + "66687aad"
BYTE = chr(0xDCE9)  # 0xE9 in an argument


@dataclass(frozen=True, slots=True)
class Pair:
    """Two storage nodes in this process; commands ask the first."""

    home: Path
    here: SyncClient
    ticket: str


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("pair")
    options: Any = {"listen": "127.0.0.1:0", "network": "json", "capacity": "50 MB"}
    with sync.open(directory / "a", **options) as here:
        ticket = here.identity().ticket
        with sync.open(directory / "b", seeds=ticket, **options):
            yield Pair(directory / "a", here, ticket)


@dataclass(frozen=True, slots=True)
class Asking:
    """Runs commands in this process."""

    home: Path
    streams: pytest.CaptureFixture[str]

    def __call__(self, schema: str, *words: str | Path) -> Any:
        """What a command prints, which is all it says."""
        out, err = self.run(0, *words)
        assert err == ""
        return self.held(schema, out)

    def beside_data(self, schema: str, *words: str | Path) -> tuple[str, Any]:
        """The data, and what is told of it on one line of standard error."""
        out, err = self.run(0, *words)
        assert err.count("\n") == 1
        return out, self.held(schema, err)

    def failing(self, code: int, *words: str | Path) -> tuple[str, Any]:
        """Standard output, and the failure."""
        out, err = self.run(code, *words)
        assert err.count("\n") == 1
        error = self.held("error", err)["error"]
        assert error["exit_code"] == code
        return out, error

    def run(self, code: int, *words: str | Path) -> tuple[str, str]:
        at = [] if "join" in words or "version" in words else ["--home", str(self.home)]
        assert main.run(["--json", *map(str, words), *at]) == code
        return tuple(self.streams.readouterr())  # type: ignore[return-value]

    @staticmethod
    def held(schema: str, printed: str) -> Any:
        told = json.loads(printed)
        valid(schema, told)
        return told


@pytest.fixture
def ask(pair: Pair, capfd: pytest.CaptureFixture[str]) -> Asking:
    return Asking(pair.home, capfd)


def test_content(ask: Asking, pair: Pair, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "notes.txt").write_bytes(CONTENT)
    put = ask("put", "put", tree, "--replicas", "2", "--min-acks", "2")
    assert (put["replicas"], put["copies"], put["min_acks"]) == (2, 2, 2)
    cid = put["cid"]
    rows = ask("ls", "ls", cid)
    assert [(row["name"], row["size"]) for row in rows] == [
        ("below", None),
        ("notes.txt", len(CONTENT)),
    ]
    assert ask("ls", "ls", f"{cid}/below") == []
    assert ask("stat", "stat", f"{cid}/notes.txt")["size"] == len(CONTENT)
    assert ask("stat", "stat", cid)["size"] is None
    assert len(ask("providers", "providers", cid)) == 2
    assert ask("status-cid", "status", cid)["replicas"] == 2
    assert ask("list", "list")[-1]["cid"] == cid
    kept = ask("receipts", "receipts", cid)
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    assert ask("receipts", "receipts", "verify", tmp_path / "kept.json") == kept
    assert kept == sorted(put["receipts"], key=lambda receipt: str(receipt["node"]))
    car = tmp_path / "tree.car"
    assert ask("export", "export", cid, car)["blocks"] == 3
    assert (ask("import", "import", car)["roots"], ask("pin-rm", "pin", "rm", cid)["cid"]) == (
        [cid],
        cid,
    )
    got = ask("get", "get", f"{cid}/notes.txt", "-o", tmp_path / "got")
    assert (got["output"], got["size"]) == (str(tmp_path / "got"), len(CONTENT))
    for schema, words in (("cat", ["cat"]), ("get", ["get", "-o", "-"])):
        data, told = ask.beside_data(schema, *words, f"{cid}/notes.txt")
        assert data.encode() == CONTENT
        assert (told["cid"], told["size"]) == (got["cid"], len(CONTENT))


def test_nodes_and_what_is_kept(ask: Asking, pair: Pair) -> None:
    cid = pair.here.put(CONTENT, replicas=1).cid
    assert ask("status", "status")["running"] is True
    [peer] = ask("peers", "peers")
    assert ask("ping", "ping", peer["node"])["node"] == peer["node"]
    assert ask("id", "id")["ticket"] == pair.ticket
    assert ask("pin-add", "pin", "add", cid)["kind"] == "user"
    assert cid in [row["cid"] for row in ask("pin-ls", "pin", "ls")]
    assert ask("pin-rm", "pin", "rm", cid)["cid"] == cid
    assert ask("policy", "policy", cid, "--ttl", "30d")["changed"] is True
    assert ask("rm", "rm", cid)["stored"] is True
    assert ask("verify", "verify")["damaged"] == []
    assert ask("version", "version")["protocol"] >= 1


def test_settings_and_keys(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ask = Asking(tmp_path / "home", capfd)
    assert ask("config", "config")["capacity"] is None
    assert ask("config", "config", "capacity", "10MB") == {"capacity": 10_000_000}
    assert ask("config", "config", "capacity") == {"capacity": 10_000_000}
    ask.failing(2, "owner", "export")
    (tmp_path / "key").write_text(KEY)
    owner = ask("owner-import", "owner", "import", tmp_path / "key")["owner"]
    assert ask("owner-export", "owner", "export") == {"owner": owner, "private_key": KEY}


def test_without_a_node(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with sync.open(tmp_path / "home", listen="127.0.0.1:0", capacity="20 MB") as node:
        cid = node.put(CONTENT, replicas=1).cid
    ask = Asking(tmp_path / "home", capfd)
    assert ask("status", "status")["running"] is False
    assert ask("id", "id")["addresses"] == []
    assert [row["cid"] for row in ask("list", "list")] == [cid]
    assert len(ask("receipts", "receipts", cid)) == 1
    assert len(ask("pin-ls", "pin", "ls")) == 1
    assert ask("verify", "verify")["blocks"] == 1
    assert ask.failing(9, "peers")[1]["kind"] == "NoNodeHere"


def test_join_tells_on_one_line_what_serves(pair: Pair, tmp_path: Path) -> None:
    address = pair.here.identity().addresses[0]
    options = ("--listen", "127.0.0.1:0", "--network", "json", "--capacity", "0", "--json")
    process = start("join", "--home", tmp_path, *options, address)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    valid("join", told)
    process.terminate()
    assert end(process).err == ""
    assert (told["network"], told["capacity"]) == ("json", 0)
    assert told["answered"] >= 1
    assert told["pinned"] == {address: pair.here.identity().public_key}
    assert run("id", "--home", tmp_path, "--json").json["node"] == told["node"]


def test_failures_are_one_line(ask: Asking, tmp_path: Path) -> None:
    assert ask.failing(2)[1]["kind"] == "UsageError"
    for words in (["bogus"], ["put"], ["put", "x", "--colour", "red"], ["pin"], ["ping"]):
        out, error = ask.failing(2, *words)
        assert (out, error["kind"]) == ("", "UsageError")
    assert ask.failing(2, "join", "--replicas", "0")[1]["kind"] == "InvalidSetting"
    assert ask.failing(2, "get", "Qm123")[1]["kind"] == "InvalidCid"
    assert ask.failing(3, "receipts", MISSING)[1]["kind"] == "NotHere"
    unreadable = ask.failing(2, "put", f"caf{BYTE}")[1]
    assert "\uf7e9" in unreadable["message"]  # as the byte is written in names


def test_what_was_reached_is_told_beside_the_failure(ask: Asking, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    counts = ("--replicas", "3", "--min-acks", "3")
    out, error = ask.failing(7, "put", tmp_path / "file", *counts)
    assert ask.held("put", out)["copies"] == 2
    assert error["kind"] == "QuorumNotReached"


def test_each_of_several_puts_has_its_line(
    pair: Pair, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    paths = [str(tmp_path / name) for name in ("file", "missing")]
    assert main.run(["put", "--json", "--home", str(pair.home), "--replicas", "2", *paths]) == 2
    out, err = capfd.readouterr()
    put, missing = map(json.loads, out.splitlines())
    for told in (put, missing):
        valid("put", told)
    assert (put["copies"], missing) == (2, None)
    valid("error", json.loads(err))


def test_bugs_and_interrupts(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(KeyError("gone"), as_json=True) == 1
    assert report(KeyboardInterrupt(), as_json=True) == 130
    bug, interrupt = map(json.loads, capfd.readouterr().err.splitlines())
    for told in (bug, interrupt):
        valid("error", told)
    assert (bug["error"]["kind"], interrupt["error"]["kind"]) == ("Unexpected", "Interrupted")
    assert "KeyError: 'gone'" in bug["error"]["trace"]


def test_names_cannot_drive_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from dhtstore.cli.terminal.show import print_json

    name = "\x9b2J \u202e \U000e0001 \uf7e9 \x7f"
    print_json([PinInfo("x", "user", name)])
    out = capfd.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert json.loads(out)[0]["name"] == name
