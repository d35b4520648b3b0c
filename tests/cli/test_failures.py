"""Every exit code, caused; and bad input that gets a clear error and loses nothing."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dhtstore.model.cid import Cid
from dhtstore.operations.messages import encode_failure, encode_progress
from dhtstore.operations.operation import Progress
from dhtstore.store.home.home import Home
from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, ENVIRONMENT, NETWORK, Daemon, Daemons, Ran, end, run

MIB = 1024 * 1024
ABSENT = str(Cid.of(b"nobody ever put this"))


def noise(size_bytes: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def feed(process: subprocess.Popen[bytes], size_bytes: int) -> None:
    """Returns when the node has read most of it: pipes hold much less."""
    assert process.stdin is not None
    process.stdin.write(noise(size_bytes, 0))
    process.stdin.flush()


# --- what is put -----------------------------------------------------------------------------


def test_what_cannot_be_put(network: Network, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, words in (("missing", "No such file"), ("fifo", "is a pipe")):
        ran = network.storage[0].run("put", tmp_path / name)
        assert ran.code == 2
        assert words in ran.err
        assert ran.out == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(network: Network, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    for path in (tmp_path / "secret", tmp_path):
        ran = network.storage[0].run("put", path)
        assert ran.code == 2
        assert "Permission denied" in ran.err


@pytest.mark.parametrize("size_bytes", [24 * MIB, 64 * MIB], ids=["shrinks", "grows"])
def test_a_file_that_changes_while_it_is_put(
    network: Network, tmp_path: Path, size_bytes: int
) -> None:
    file = tmp_path / "log"
    file.write_bytes(noise(48 * MIB, 5))
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            os.truncate(file, size_bytes)
            size = file.stat().st_size
            os.truncate(file, size + 1)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(10):  # between two changes it may be read whole: that is what is stored then
        before = network.storage[0].run("list", "--json").json
        ran = network.storage[0].run("put", file)
        if ran.code:
            break
    ended.set()
    writer.join()
    assert ran.code == 2, ran.err
    assert "while it was read" in ran.err
    assert ran.out == b""
    assert network.storage[0].run("list", "--json").json == before


def test_fewer_copies_than_needed(daemons: Daemons) -> None:
    alone = daemons("alone", "--capacity", "100MB")
    few = alone.run("put", "-", stdin=b"too few")
    assert few.code == 7
    assert few.last_line == str(Cid.of(b"too few"))
    assert few.err.count("1 of 3 copies") == few.err.count("no other storage node is known") == 1
    assert "keep the original" in few.err
    assert "`dhtstore join TICKET`" in few.err
    assert alone.run("cat", few.last_line).out == b"too few"
    fine = alone.run("put", "-", "--min-acks", "1", stdin=b"one copy")
    assert fine.code == 0, fine.err
    assert "1 of 3 copies on 1 host in 1 subnet\n  only 1 storage node known here" in fine.err
    assert fine.text.strip() == str(Cid.of(b"one copy"))
    as_json = alone.run("put", "-", "--min-acks", "3", "--json", stdin=b"too few")
    assert as_json.code == 7
    assert (as_json.json["copies"], len(as_json.json["receipts"])) == (1, 1)
    assert (as_json.json["hosts"], as_json.json["subnets"]) == (1, 1)
    quiet = alone.run("put", "-", "-q", "--min-acks", "1", stdin=b"one copy")
    assert (quiet.code, quiet.err) == (0, "")


def test_copies_that_nobody_is_told_of(daemons: Daemons) -> None:
    here = daemons("here", "--capacity", "100MB")
    other = daemons("other", here.ticket)
    other.kill()
    ran = here.run("put", "-", "--replicas", "1", stdin=b"who knows")
    assert ran.code == 4
    assert "no node took the records" in ran.err
    assert ran.text.strip() == str(Cid.of(b"who knows"))
    assert here.run("cat", ran.last_line).out == b"who knows"


def test_no_room_here(daemons: Daemons) -> None:
    small = daemons("small", "--capacity", "3MB")
    kept = small.put(b"kept", "--replicas", "1")
    ran = small.run("put", "-", stdin=noise(8 * MIB, 6))
    assert ran.code == 8, ran.err
    assert ran.out == b""
    assert small.run("cat", kept).out == b"kept"
    assert [row["cid"] for row in small.run("list", "--json").json] == [kept]


def test_standard_input_that_cannot_be_read(network: Network, tmp_path: Path) -> None:
    """What came before the failure must not pass for the whole."""
    node = network.storage[0]
    before = node.run("list", "--json").json
    descriptor = os.open(tmp_path / "write-only", os.O_WRONLY | os.O_CREAT)
    try:
        for more in ((), ("--seed", network.ticket)):
            ran = run("put", "-", "--home", node.home, *more, stdin=descriptor)
            assert ran.code == 2, ran.err
            assert "cannot read standard input" in ran.err
            assert ran.out == b""
    finally:
        os.close(descriptor)
    assert node.run("list", "--json").json == before


# --- what is got -----------------------------------------------------------------------------


def test_nobody_provides_it(network: Network, tmp_path: Path) -> None:
    for command in ("cat", "stat", "ls", "providers"):
        ran = network.client.run(command, ABSENT)
        assert ran.code == 3, (command, ran.err)
        assert ABSENT in ran.err
    ran = network.client.run("get", ABSENT, "-o", tmp_path / "out")
    assert ran.code == 3
    assert os.listdir(tmp_path) == []
    assert network.client.run("receipts", ABSENT).code == 3


def test_targets_that_cannot_be(network: Network, tmp_path: Path) -> None:
    cid = network.storage[0].put(b"target", "--replicas", "1")
    (tmp_path / "here").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    for target, words in (
        ("here", "exists already"),
        ("dangling", "exists already"),
        ("missing/out", "cannot write into"),
        ("here/out", "cannot write into"),
    ):
        ran = network.client.run("get", cid, "-o", target, cwd=tmp_path)
        assert ran.code == 2, target
        assert words in ran.err
    assert (tmp_path / "here").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["dangling", "here"]


def test_providers_that_are_gone(daemons: Daemons) -> None:
    stays = daemons("stays", "--capacity", "0")
    gone = daemons("gone", "--capacity", "100MB", stays.ticket)
    cid = gone.put(b"soon unreachable", "--replicas", "1")
    node = gone.node
    gone.kill()
    ran = stays.run("cat", cid)
    assert ran.code == 4, ran.err
    assert "1 node says it holds it: 1 refu" in ran.err
    assert f"`dhtstore ping {node}` tries it" in ran.err
    assert ran.out == b""


def damage(daemon: Daemon, data: bytes) -> None:
    """Flip a bit of ``data`` wherever it lies in the store's files."""
    for path in (daemon.home / "blocks").rglob("*"):
        stored = path.read_bytes() if path.is_file() else b""
        at = stored.find(data)
        if at >= 0:
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([data[0] ^ 1]))


def test_bytes_that_rotted(daemons: Daemons, tmp_path: Path) -> None:
    client = daemons("client", "--capacity", "0")
    rotten = daemons("rotten", "--capacity", "100MB", client.ticket)
    data = noise(5000, 8)
    cid = rotten.put(data, "--replicas", "1")
    damage(rotten, data)
    got = client.run("get", cid, "-o", tmp_path / "out")
    assert got.code == 5, got.err
    assert not (tmp_path / "out").exists()
    ran = rotten.run("verify")
    assert ran.code == 5, ran.err
    assert ran.text.splitlines()[:2] == [f"damaged {cid}", f'  {cid}, put here as "-"']
    assert f"dhtstore pin add {cid}" in ran.text
    assert "1 block here has rotted" in rotten.run("status").err
    rotten.put(data, "--replicas", "1")
    assert rotten.run("verify").code == 0
    assert "rotted" not in rotten.run("status").err


def test_a_full_disk_never_passes_for_a_whole_file(network: Network, tmp_path: Path) -> None:
    data = noise(6 * MIB, 9)
    cid = network.storage[0].put(data, "--replicas", "1")
    target = tmp_path / "out"
    home = ("--home", tmp_path / "home", "--seed", network.ticket)

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, 2 * MIB))

    ran = run("get", cid, "-o", target, *home, before=small_disk)
    assert ran.code == 8, ran.err
    assert not target.exists()
    again = run("get", cid, "-o", target, *home)
    assert again.code == 0, again.err
    assert target.read_bytes() == data


# --- time, signals, death ----------------------------------------------------------------------


def test_timed_out(network: Network) -> None:
    process = network.storage[0].start("put", "-", "--timeout", "300ms")
    assert process.wait(60) == 6  # its standard input never ends
    ran = end(process)
    assert "300" in ran.err or "0.3" in ran.err
    assert "--timeout" in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(network: Network, number: int) -> None:
    node = network.storage[0]
    before = node.run("list", "--json").json
    process = node.start("put", "-")
    feed(process, 4 * MIB)
    process.send_signal(number)
    assert process.wait(60) == 130
    ran = end(process)
    assert ran.out == b""
    assert "nothing is stored yet; the same command begins anew" in ran.err
    assert "Traceback" not in ran.err
    assert node.run("list", "--json").json == before
    assert node.put(noise(4 * MIB, 0))  # a repeat is as good as the first


def test_an_interrupted_get_says_what_it_keeps(daemons: Daemons, tmp_path: Path) -> None:
    client = daemons("client", "--capacity", "0")
    holder = daemons("holder", "--capacity", "100MB", client.ticket)
    data = noise(8 * MIB, 31)
    cid = holder.put(data, "--replicas", "1")
    damage(holder, data[7 * MIB :])
    wanted = ("get", cid, "-o", tmp_path / "out")
    failed = client.run(*wanted)
    assert failed.code == 5
    kept = f" in {tmp_path / 'out'}.part; the same command goes on from there"
    assert f"kept 7.3 MB of 8.4 MB{kept}" in failed.err
    holder.process.send_signal(signal.SIGSTOP)
    process = client.start(*wanted)
    try:
        wait_for_the_node(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        holder.process.send_signal(signal.SIGCONT)
    assert kept in end(process).err  # how much, unless it was too early to ask
    quiet = client.run(*wanted, "-q")
    assert "kept" not in quiet.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_done_to_copies_says_what_stays_of_it_when_it_is_interrupted(
    daemons: Daemons, number: int
) -> None:
    putter = daemons("putter")
    holder = daemons("holder", putter.ticket)
    cid = putter.put(b"kept twice", "--replicas", "2")
    holder.process.send_signal(signal.SIGSTOP)  # whoever asks it waits
    try:
        for words, told in (
            (("repair",), "copies that were made stay"),
            (("policy", cid, "--replicas", "3"), "shows what counts"),
            (("rm", cid), "names it no more"),
        ):
            process = putter.start(*words)
            wait_for_the_node(process)
            process.send_signal(number)
            assert process.wait(60) == 130
            ran = end(process)
            assert told in ran.err
            assert "Traceback" not in ran.err
    finally:
        holder.process.send_signal(signal.SIGCONT)


def wait_for_the_node(process: subprocess.Popen[bytes]) -> None:
    """Until the command has a connection to it."""
    open_files = Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        with suppress(FileNotFoundError):  # one that was just closed
            if any(os.readlink(each).startswith("socket:") for each in open_files.iterdir()):
                return
    raise AssertionError(end(process).err)


def test_an_interrupted_get_goes_on(network: Network, tmp_path: Path) -> None:
    data = noise(2 * MIB, 10)
    cid = network.storage[0].put(data, "--replicas", "1")
    process = network.client.start("get", cid, "-o", tmp_path / "out")
    process.send_signal(signal.SIGINT)
    end(process)
    if not (tmp_path / "out").exists():
        again = network.client.run("get", cid, "-o", tmp_path / "out")
        assert again.code == 0, again.err
    assert (tmp_path / "out").read_bytes() == data
    assert os.listdir(tmp_path) == ["out"]


def test_the_daemon_dies_mid_command(daemons: Daemons) -> None:
    daemon = daemons("mortal")
    process = daemon.start("put", "-")
    feed(process, 4 * MIB)
    daemon.kill()
    ran = end(process)
    assert ran.code == 9
    assert "stopped while" in ran.err
    assert ran.out == b""


def test_a_reader_that_has_had_enough(network: Network) -> None:
    cid = network.storage[0].put(noise(4 * MIB, 11), "--replicas", "1")
    process = network.client.start("cat", cid)
    assert process.stdout is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.stdin is not None
    process.stdin.close()
    process.stderr.close()


def test_output_that_cannot_be_written(network: Network) -> None:
    cid = network.storage[0].put(b"to a full disk", "--replicas", "1")
    for arguments in (("cat", cid), ("stat", cid)):
        with Path("/dev/full").open("wb") as full:
            process = subprocess.Popen(
                [*COMMAND, *arguments, "--home", str(network.client.home)],
                stdout=full,
                stderr=subprocess.PIPE,
                env=ENVIRONMENT,
            )
            _, said = process.communicate(timeout=60)
        assert process.returncode == 8
        assert said.startswith(b"error: cannot write to standard output: No space left")
        assert b"Exception" not in said


def test_the_unexpected_is_1(tmp_path: Path) -> None:
    """A node with a bug: it answers, and fails with something that has no code of its own."""
    home = Home(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.socket_path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(encode_progress(Progress("x", 1)))
                connection.sendall(encode_failure(KeyError()))

        node = threading.Thread(target=answer)
        node.start()
        ran = run("id", "--home", tmp_path)
        node.join()
    assert ran.code == 1
    assert "KeyError" in ran.err


# --- seeds and addresses ---------------------------------------------------------------------


def joined(home: Path, *arguments: str) -> Ran:
    """What a ``join`` says that fails."""
    ran = run("join", "--home", home, "--network", NETWORK, *arguments)
    assert ran.code == 4
    return ran


def test_each_seed_that_is_of_no_use_says_why(network: Network, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        free = silent.getsockname()[1]
    home = tmp_path / "home"
    alone = Daemon(home, "--capacity", "0")
    own = alone.ticket
    alone.stop()
    assert "ticket of this node's key: its own" in joined(home, "--listen", "127.0.0.1:0", own).err
    itself = joined(home, "--listen", f"127.0.0.1:{free}", f"127.0.0.1:{free}")
    assert "this node itself answers there" in itself.err
    six = joined(home, "--listen", "[::1]:0", network.ticket)
    assert "it is at an address of IPv4, and this node listens on IPv6 only" in six.err
    four = joined(home, "--listen", "127.0.0.1:0", "[::1]:7400")
    assert "it is at an address of IPv6, and this node listens on IPv4 only" in four.err


def test_ipv4_spelled_as_ipv6_is_ipv4(network: Network, tmp_path: Path) -> None:
    port = network.storage[0].address.rpartition(":")[2]
    daemon = Daemon(tmp_path / "home", "--capacity", "0", f"[::ffff:127.0.0.1]:{port}")
    assert daemon.run("peers", "--json").json
    daemon.stop()


def test_an_address_of_nobody_is_not_advertised(tmp_path: Path) -> None:
    ran = run("join", "--home", tmp_path / "home", "--advertise", "0.0.0.0:7400")
    assert ran.code == 2
    assert "stands for every address of a machine" in ran.err
