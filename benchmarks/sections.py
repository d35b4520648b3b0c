"""One function per figure.  Rivals run interleaved in the same run, in fresh directories, because
a disk's speed drifts more within a day than they differ; everything is deleted at the end."""

from __future__ import annotations

import contextlib
import filecmp
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import many, processes, torrent, trees
from benchmarks.beginning import beginnings
from benchmarks.copies import copies
from benchmarks.hostile.section import attacked
from benchmarks.loop import bare_heap_per_s, virtual_loop_per_s
from benchmarks.processes import Daemon
from benchmarks.puts import listed
from benchmarks.report import Row, at_least, at_most, plain
from benchmarks.rivals import rivals
from benchmarks.rpc.section import after_deafness, among_neighbours, round_trips, under_flood
from benchmarks.slow_path.section import slow_path
from benchmarks.small import small
from benchmarks.store import stored
from benchmarks.sweeps import sweeps
from benchmarks.torrent import Leeched, Seeder

GIB = 1024**3
CHUNK_BYTES = 8 * 1024**2
FEW_BYTES = 1000
SETTLE_S = 5.0
SLOW_PATH_BYTES = 256 * 1024**2  # 22 s at 100 Mbit/s


@dataclass(frozen=True, slots=True)
class Plan:
    """``directory`` is fresh and removed by the caller; sizes are in bytes."""

    directory: Path
    size_bytes: int
    memory_size_bytes: int
    rounds: int
    idle_s: float
    on_tmpfs: bool = False
    files: int = 100_000
    small_files: int = 10_000
    names: int = 50_000
    blocks: int = 1_000_000
    rows: int = 10_000_000
    attacks: tuple[str, ...] = ()  # of the section hostile; all if empty
    attack_s: float = 60.0

    def fresh(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True, slots=True)
class Round:
    """One get and its rival, run one after the other."""

    ours_s: float
    start_s: float  # a get of a few bytes: what our command takes before the first byte flows
    libtorrent: Leeched


def get(plan: Plan) -> list[Row]:
    """get from one holder against libtorrent; the first round warms up and is not counted."""
    place = plan.fresh("get")
    source = _random_file(place / "source", plan.size_bytes)
    with (
        torrent.seeding(source, place / "source.torrent") as seeder,
        processes.daemon(place / "holder", *_capacity(plan.size_bytes)) as holder,
        processes.daemon(place / "getter", holder.ticket, "--capacity", "0") as getter,
    ):
        cid = holder.run("put", source, "--replicas", "1").last_line
        few = _random_file(place / "few", FEW_BYTES)
        few_cid = holder.run("put", few, "--replicas", "1").last_line
        rounds = []
        for number in range(plan.rounds + 1):
            with tempfile.TemporaryDirectory(prefix=f"round-{number}-", dir=place) as fresh:
                rounds.append(_round(seeder, getter, (cid, few_cid), source, Path(fresh)))
    return _get_rows(plan, rounds[1:])


def put(plan: Plan) -> list[Row]:
    """put into the local node beside dd, in pairs, the source warm, a fresh node each time."""
    source = _random_file(plan.fresh("put") / "source", plan.size_bytes)
    seconds, dd = [], []
    for number in range(plan.rounds):
        dd.append(_dd_s(source, plan.directory / f"put/dd-{number}"))
        home = plan.directory / f"put/node-{number}"
        with processes.daemon(home, *_capacity(plan.size_bytes)) as node:
            seconds.append(node.run("put", source, "--replicas", "1").seconds)
    rate = _mb(plan.size_bytes) / statistics.median(seconds)
    name = f"put {_size(plan.size_bytes)} into the local node"
    ratio = statistics.median([d / s for d, s in zip(dd, seconds, strict=True)])
    beside = plain(
        f"dd conv=fsync {_size(plan.size_bytes)}",
        _mb(plan.size_bytes) / statistics.median(dd),
        "MB/s",
    )
    if plan.on_tmpfs:
        return [beside, at_least(name, rate, 900, "MB/s"), plain(f"{name} / dd", ratio, "x")]
    return [beside, plain(name, rate, "MB/s"), at_least(f"{name} / dd", ratio, 0.9, "x")]


def three(plan: Plan) -> list[Row]:
    """put with three copies elsewhere, by pipeline and directly."""
    place = plan.fresh("copies")
    return copies(place, _random_file(place / "source", plan.size_bytes), plan.rounds)


def holders(plan: Plan) -> list[Row]:
    """get from one holder, from three, and from three of which one is slow."""
    return many.measure(plan.fresh("many"), plan.size_bytes, plan.rounds)


def small_files(plan: Plan) -> list[Row]:
    """Many small files beside cp, rsync and restic."""
    return small(plan.fresh("small"), plan.small_files, plan.rounds)


def others(plan: Plan) -> list[Row]:
    """dd, cp, rsync and iperf3 with as many bytes."""
    place = plan.fresh("rivals")
    source = _random_file(plan.directory / "source", plan.size_bytes)
    return rivals(place, source, plan.rounds)


def beginning(plan: Plan) -> list[Row]:
    """The first byte of files of 1 and 100 GiB."""
    return beginnings(plan.fresh("beginning"), plan.rounds)


def memory(plan: Plan) -> list[Row]:
    """Peak memory of every process while a file is put with three replicas and got back."""
    place, size = plan.fresh("memory"), plan.memory_size_bytes
    source = _random_file(place / "source", size)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(processes.daemon(place / "putter", *_capacity(size)))
        nodes = [first]
        for name, capacity in (("holder-1", size), ("holder-2", size), ("getter", 0)):
            arguments = (first.ticket, *_capacity(capacity))
            nodes.append(stack.enter_context(processes.daemon(place / name, *arguments)))
        stored = first.run("put", source, "--replicas", "3", "--min-acks", "3")
        got = nodes[-1].run("get", stored.last_line, "-o", place / "out")
        _compare(place / "out", source)
        peaks = {f"{node.name} daemon": node.peak_bytes for node in nodes}
    peaks |= {"put command": stored.peak_bytes, "get command": got.peak_bytes}
    rows = [
        at_most(f"peak memory, {_size(size)}, {name}", _mb(peak), 150, "MB")
        for name, peak in peaks.items()
    ]
    rows.append(plain(f"put {_size(size)}, 3 replicas", _mb(size) / stored.seconds, "MB/s"))
    rows.append(plain(f"get {_size(size)}, 3 holders", _mb(size) / got.seconds, "MB/s"))
    return rows


def start(plan: Plan) -> list[Row]:
    """What commands take before they print anything."""
    return trees.starts(plan.fresh("start"), 2 * plan.rounds + 1)


def store(plan: Plan) -> list[Row]:
    """Blocks and rows by the million, and a collection beside puts."""
    return stored(plan.fresh("store"), plan.blocks, plan.rows)


def tree(plan: Plan) -> list[Row]:
    """Many small files beside cp and tar, and a directory of many names."""
    return trees.tree(plan.fresh("tree"), plan.files, plan.names)


def puts(plan: Plan) -> list[Row]:
    """``list`` where many puts are remembered."""
    return listed(plan.fresh("puts"), plan.files, plan.rounds)


def idle(plan: Plan) -> list[Row]:
    """CPU of a node in a network of three that nobody uses."""
    place = plan.fresh("idle")
    with (
        processes.daemon(place / "a") as a,
        processes.daemon(place / "b", a.ticket) as b,
        processes.daemon(place / "c", a.ticket) as c,
    ):
        time.sleep(SETTLE_S)
        before = [node.cpu_s for node in (a, b, c)]
        time.sleep(plan.idle_s)
        used = [node.cpu_s - earlier for node, earlier in zip((a, b, c), before, strict=True)]
    percent = 100 * max(used) / plan.idle_s
    return [at_most(f"idle node over {plan.idle_s:g} s", percent, 1, "% of a core")]


def loop(plan: Plan) -> list[Row]:
    """The simulator's loop beside a bare heap."""
    ours, bare = virtual_loop_per_s(), bare_heap_per_s()
    return [
        at_least("virtual loop alone", ours / 1000, 250, "thousand messages/s"),
        plain("a bare heap", bare / 1000, "thousand messages/s"),
    ]


def rpc(plan: Plan) -> list[Row]:
    """find_node, provide and find beside stock kademlia, and a node under a flood, and deaf."""
    measured = [*round_trips(plan.rounds), *among_neighbours(plan.rounds)]
    return [*measured, *under_flood(), *after_deafness()]


def hostile(plan: Plan) -> list[Row]:
    """One default node under each attack, beside an honest user (benchmarks/hostile)."""
    return attacked(plan.fresh("hostile"), plan.attacks, plan.attack_s)


def sweep(plan: Plan) -> list[Row]:
    """Many runs of the laboratory on two workers."""
    return sweeps(plan.fresh("sweep"))


def slow(plan: Plan) -> list[Row]:
    """get over a long, lossy, narrow path beside iperf3; needs root."""
    return slow_path(plan.fresh("slow-path"), min(plan.size_bytes, SLOW_PATH_BYTES), plan.rounds)


SECTIONS: dict[str, Callable[[Plan], list[Row]]] = {
    "get": get,
    "put": put,
    "rivals": others,
    "copies": three,
    "many": holders,
    "small": small_files,
    "beginning": beginning,
    "memory": memory,
    "start": start,
    "store": store,
    "tree": tree,
    "puts": puts,
    "idle": idle,
    "loop": loop,
    "rpc": rpc,
    "hostile": hostile,
    "slow-path": slow,
    "sweep": sweep,
}
ON_TMPFS = ("get", "put", "rivals", "copies", "many", "small")


def _round(
    seeder: Seeder, getter: Daemon, cids: tuple[str, str], source: Path, fresh: Path
) -> Round:
    theirs = seeder.leech(fresh)
    ours_s = getter.run("get", cids[0], "-o", fresh / "out").seconds
    _compare(fresh / "out", source)
    start_s = getter.run("get", cids[1], "-o", fresh / "few").seconds
    return Round(ours_s, start_s, theirs)


def _get_rows(plan: Plan, rounds: list[Round]) -> list[Row]:
    """The target compares whole with whole, from the start of each until the file is complete.

    Beside it, both without what comes before the first byte: libtorrent's wait for its
    connection, and our command's start, taken from a get of a few bytes in the same round.
    """
    name, megabytes = f"get {_size(plan.size_bytes)}", _mb(plan.size_bytes)

    def rate(figure: str, seconds: list[float]) -> Row:
        return plain(f"{name}, {figure}", megabytes / statistics.median(seconds), "MB/s")

    return [
        rate("libtorrent, whole session", [each.libtorrent.whole_s for each in rounds]),
        rate("libtorrent, once connected", [each.libtorrent.connected_s for each in rounds]),
        rate("dhtstore, whole command", [each.ours_s for each in rounds]),
        rate("dhtstore, once started", [each.ours_s - each.start_s for each in rounds]),
        at_least(
            f"{name}, dhtstore / libtorrent, whole",
            statistics.median([each.libtorrent.whole_s / each.ours_s for each in rounds]),
            1.4 if plan.on_tmpfs else 1.1,
            "x",
        ),
        plain(
            f"{name}, dhtstore / libtorrent, once under way",
            statistics.median(
                [each.libtorrent.connected_s / (each.ours_s - each.start_s) for each in rounds]
            ),
            "x",
        ),
        plain(
            f"{name}, dhtstore whole / libtorrent once connected",
            statistics.median([each.libtorrent.connected_s / each.ours_s for each in rounds]),
            "x",
        ),
    ]


def _dd_s(source: Path, out: Path) -> float:
    begun = time.perf_counter()
    command = ["dd", f"if={source}", f"of={out}", "bs=1M", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)
    return time.perf_counter() - begun


def _compare(out: Path, source: Path) -> None:
    if not filecmp.cmp(out, source, shallow=False):
        raise SystemExit(f"{out} is not what was put")


def _capacity(size_bytes: int) -> tuple[str, str]:
    """Room for the file and as much again; a client for 0."""
    return ("--capacity", str(2 * size_bytes + GIB if size_bytes else 0))


def _random_file(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        for offset in range(0, size_bytes, CHUNK_BYTES):
            file.write(os.urandom(min(CHUNK_BYTES, size_bytes - offset)))
    return path


def _mb(size_bytes: int) -> float:
    return size_bytes / 1e6


def _size(size_bytes: int) -> str:
    mebibytes = size_bytes / 1024**2
    return f"{mebibytes / 1024:g} GiB" if mebibytes >= 1024 else f"{mebibytes:g} MiB"
