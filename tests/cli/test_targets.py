"""Where a get goes, and what it says of whom it asked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, COMMAND_TIMEOUT_S, ENVIRONMENT, end

# What later versions want to be told, and 3.11 knows since 3.11.4.
TRUSTED: Any = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}
NOBODY_HAS = "bafkreie7q3iidccmpvszul7kudcvvuavuo7u6gzlbobczuk5nqk3b4akba"


def test_a_directory_goes_to_stdout_as_a_tar_that_is_what_was_put(
    network: Network, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    for number in range(40):
        (tree / "d" / f"{number}").write_bytes(os.urandom(number * 40_000))
    Path(os.fsdecode(os.fsencode(tree) + b"/caf\xe9")).write_bytes(b"odd")
    (tree / "link").symlink_to("d/1")
    cid = network.storage[0].run("put", tree, "--replicas", "1").text.strip()
    got = network.client.run("get", f"{cid}?filename=again", "-o", "-", "--json")
    assert got.code == 0, got.err
    told = json.loads(got.err)
    assert (told["cid"], told["output"]) == (cid, "-")
    with tarfile.open(fileobj=io.BytesIO(got.out)) as archive:
        archive.extractall(tmp_path, **TRUSTED)
    assert subprocess.run(["diff", "-r", tree, tmp_path / "again"], check=False).returncode == 0
    there = network.storage[0].run("get", f"{cid}?filename=again", "-o", "-")
    assert there.out == got.out  # from another node, in another order


def test_a_device_a_pipe_and_a_name_of_ones_own(network: Network, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    cid = network.storage[0].put(data, "--replicas", "1")
    checked = network.client.run("get", cid, "-o", "/dev/null")
    assert checked.code == 0, checked.err
    assert "/dev/null: 3.0 MB from 1 holder" in checked.err
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(
        [*COMMAND, "get", "--home", network.client.home, cid, "-o", tmp_path / "fifo"],
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    ) as getting:
        with (tmp_path / "fifo").open("rb") as fifo:
            assert hashlib.file_digest(fifo, "sha256").digest() == hashlib.sha256(data).digest()
        assert getting.wait() == 0
    named = network.client.run("get", f"{cid}?filename=my%20file", cwd=tmp_path)
    assert named.code == 0, named.err
    assert (tmp_path / "my file").read_bytes() == data


def test_explain_tells_of_a_failure_too(network: Network, tmp_path: Path) -> None:
    told = network.client.run("get", NOBODY_HAS, "-o", tmp_path / "x", "--explain")
    assert told.code == 3
    assert f"unit {NOBODY_HAS}\n  lookup 1 at " in told.err
    assert "nodes asked answered" in told.err
    failed = network.client.run("get", NOBODY_HAS, "-o", tmp_path / "x", "--json")
    report = json.loads(failed.err)["error"]["report"]
    assert [search["found"] for search in report["searches"]] == [0]
    assert report["holders"] == []


def test_a_deadline_counts_while_nobody_takes_what_is_printed(
    network: Network, tmp_path: Path
) -> None:
    cid = network.storage[0].put(os.urandom(3_000_000), "--replicas", "1")
    process = network.client.start("cat", cid, "--timeout", "1s")
    assert process.wait(COMMAND_TIMEOUT_S) == 6
    assert b"not done within 1 s" in end(process).err.encode()
    os.mkfifo(tmp_path / "fifo")
    ran = network.client.run("get", cid, "-o", tmp_path / "fifo", "--timeout", "100ms")
    assert (ran.code, "nobody read" in ran.err) == (6, True)
