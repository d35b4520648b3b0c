"""put, get and what can be asked about what was put."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dhtstore.model.cid import Cid
from tests.cli.conftest import Network
from tests.cli.terminal import run

MIB = 1024 * 1024


def noise(size_bytes: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "summer").mkdir(parents=True)
    (root / "a.txt").write_text("alpha\n")
    (root / "empty").write_bytes(b"")
    (root / "summer" / "big").write_bytes(noise(2 * MIB + 5, 7))
    (root / "summer" / "link").symlink_to("big")
    return root


def tree(root: Path) -> dict[str, object]:
    return {
        str(path.relative_to(root)): (
            os.readlink(path)
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else None
        )
        for path in sorted(root.rglob("*"))
    }


def test_put_prints_the_cid_alone_and_get_brings_it_back(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "holiday.iso"
    file.write_bytes(noise(3 * MIB + 1, 1))
    ran = network.storage[0].run("put", file, "--replicas", "3")
    assert ran.code == 0, ran.err
    cid = ran.text.strip()
    assert ran.text == f"{Cid.parse(cid)}\n"
    got = network.client.run("get", cid, "-o", tmp_path / "copy.iso", "--explain")
    assert got.code == 0, got.err
    assert "asked at  1st byte  blocks" in got.err
    assert got.out == b""
    assert (tmp_path / "copy.iso").read_bytes() == file.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["copy.iso", "holiday.iso"]


def test_put_json_has_verifiable_receipts(network: Network) -> None:
    data = noise(100, 2)
    node = network.storage[1]
    result = node.run("put", "-", "--json", "--name", "note", stdin=data).json
    assert result["cid"] == str(Cid.of(data))
    assert (result["size"], result["copies"]) == (100, 3)
    nodes = [daemon.node for daemon in network.storage]
    assert sorted(receipt["node"] for receipt in result["receipts"]) == sorted(nodes)
    kept = node.run("receipts", result["cid"], "--json").json
    assert sorted(kept, key=str) == sorted(result["receipts"], key=str)
    for receipt in kept:
        public_key = bytes.fromhex(receipt["public_key"])
        assert receipt["node"] == hashlib.sha256(public_key).hexdigest()[:40]
        assert (receipt["root"], receipt["blocks"]) == (result["cid"], 1)
        name = receipt["network"].encode()
        signed = b"dhtstore/receipt/1\0" + bytes((len(name),)) + name
        signed += bytes.fromhex(receipt["body"])
        verifier = Ed25519PublicKey.from_public_bytes(public_key)
        verifier.verify(bytes.fromhex(receipt["signature"]), signed)  # raises
    assert "verified" in node.run("receipts", result["cid"]).text
    rows = [row for row in node.run("list", "--json").json if row["cid"] == result["cid"]]
    assert [(row["name"], row["size"], row["copies"]) for row in rows] == [("note", 100, 3)]
    assert "note" in node.run("list").text


def test_a_directory_and_paths_into_it(network: Network, photos: Path, tmp_path: Path) -> None:
    cid = network.storage[0].run("put", photos).text.strip()
    client = network.client
    got = client.run("get", cid, "-o", tmp_path / "back")
    assert got.code == 0, got.err
    assert tree(tmp_path / "back") == tree(photos)
    listed = client.run("ls", cid, "--json").json
    assert [(row["name"], row["type"]) for row in listed] == [
        ("a.txt", "file"),
        ("empty", "file"),
        ("summer", "directory"),
    ]
    assert client.run("cat", f"{cid}/a.txt").out == b"alpha\n"
    assert client.run("cat", f"ipfs://{cid}/summer/big").out == noise(2 * MIB + 5, 7)
    told = client.run("stat", f"{cid}/summer/big", "--json").json
    assert (told["type"], told["size"]) == ("file", 2 * MIB + 5)
    assert "directory" in client.run("stat", cid).text
    into = tmp_path / "into"
    into.mkdir()
    assert client.run("get", f"{cid}/summer/big", cwd=into).code == 0
    assert (into / "big").read_bytes() == noise(2 * MIB + 5, 7)
    missing = client.run("get", f"{cid}/winter", "-o", tmp_path / "none")
    assert missing.code == 3
    assert "winter" in missing.err
    assert client.run("ls", f"{cid}/a.txt").code == 2


def test_standard_streams(network: Network, tmp_path: Path) -> None:
    data = noise(2 * MIB + 17, 3)
    cid = network.storage[0].put(data)
    assert network.client.run("cat", cid).out == data
    assert network.client.run("get", cid, "-o", "-").out == data
    assert network.client.run("get", cid, cwd=tmp_path).code == 0
    assert (tmp_path / cid).read_bytes() == data
    assert network.storage[0].put(b"") == str(Cid.of(b""))
    assert network.client.run("cat", str(Cid.of(b""))).out == b""


def test_ranges(network: Network, tmp_path: Path) -> None:
    data = noise(3 * MIB + 17, 4)
    cid = network.storage[0].put(data)
    client = network.client
    assert client.run("cat", cid, "--range", "1MiB-2MiB").out == data[MIB : 2 * MIB]
    assert client.run("cat", cid, "--range", "-5").out == data[-5:]
    assert client.run("get", cid, "--range", "1k+10", "-o", tmp_path / "part").code == 0
    assert (tmp_path / "part").read_bytes() == data[1000:1010]
    for wrong in ("4MiB-", "2-1", "0-4MiB", "-4MiB", "7-7", "x", ""):
        for command in (["cat"], ["get", "-o", tmp_path / "none"]):
            ran = client.run(*command, cid, "--range", wrong)
            assert (ran.code, ran.out) == (2, b""), wrong
            assert "range" in ran.err
    assert os.listdir(tmp_path) == ["part"]


def test_who_provides_it(network: Network) -> None:
    cid = network.storage[0].put(b"provided", "--replicas", "2")
    rows = network.client.run("providers", cid, "--json").json
    assert len(rows) == 2
    assert all(
        row["addresses"] and row["expires"]["unix_s"] > row["issued"]["unix_s"] for row in rows
    )
    assert network.storage[0].node in network.client.run("providers", cid).text
    told = network.storage[0].run("status", cid, "--json").json
    assert (told["copies"], told["replicas"], len(told["units"])) == (2, 2, 1)
    assert "2 of 2" in network.storage[0].run("status", cid).text


def test_peers_ping_and_status(network: Network) -> None:
    client, first = network.client, network.storage[0]
    known = {row["node"]: row["storage"] for row in client.run("peers", "--json").json}
    assert known == {daemon.node: True for daemon in network.storage}
    answer = client.run("ping", first.node, "--json").json
    assert answer["node"] == first.node
    assert answer["rtt_ms"] > 0
    assert client.run("ping", first.ticket).code == 0
    assert client.run("ping", "00" * 20).code == 3
    assert client.run("ping", "nonsense").code == 2
    status = first.run("status", "--json").json
    assert (status["network"], status["capacity"]) == ("tests", 500_000_000)
    assert "500" in run("status", "--home", first.home).text or "476" in first.run("status").text


def test_pins(network: Network, tmp_path: Path) -> None:
    cid = network.storage[0].put(noise(MIB + 1, 4), "--replicas", "1")
    client = network.client
    options = ("--home", client.home)
    added = run("pin", "add", *options, cid)
    assert added.code == 0, added.err
    assert added.text.strip() == cid
    assert run("pin", "ls", *options, "--json").json == [{"cid": cid, "kind": "user", "name": ""}]
    providers = client.run("providers", cid, "--json").json
    assert client.node in [row["node"] for row in providers]
    assert run("pin", "rm", *options, cid).code == 0
    assert run("pin", "rm", *options, cid).code == 3
    assert run("pin", "ls", *options, "--json").json == []
    target = tmp_path / "kept"
    assert client.run("get", cid, "-o", target, "--pin").code == 0
    assert run("pin", "ls", *options, "--json").json[0]["name"] == "kept"
    assert run("pin", "rm", *options, cid).code == 0


def test_without_a_daemon(network: Network, tmp_path: Path) -> None:
    home = ("--home", tmp_path / "home", "--seed", network.ticket)
    put = run("put", "-", *home, "--json", stdin=b"from nowhere")
    assert put.code == 0, put.err
    assert put.json["copies"] == 3
    cid = put.json["cid"]
    got = run("cat", cid, "--home", tmp_path / "other", "--seed", network.storage[1].ticket)
    assert got.out == b"from nowhere", got.err
    again = run("put", "-", *home, "--json", stdin=b"more of the same owner")
    owners = {receipt["owner"] for receipt in put.json["receipts"] + again.json["receipts"]}
    assert len(owners) == 1
    address = network.storage[2].address
    by_address = ("--home", tmp_path / "third", "--network", "tests", "--seed", address)
    first = run("cat", cid, *by_address)
    assert first.out == b"from nowhere", first.err
    assert "pinned" in first.err
    assert "pinned" not in run("cat", cid, *by_address).err


def test_verify_counts_what_is_here(network: Network) -> None:
    found = network.storage[0].run("verify", "--json").json
    assert found["damaged"] == []
    assert found["blocks"] == network.storage[0].run("status", "--json").json["blocks"]
