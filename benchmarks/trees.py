"""Trees of many small files: put and get beside ``cp -r`` and ``tar`` of the same tree; ``ls`` of a
directory of many names; the start of commands."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Daemon
from benchmarks.report import Row, at_most, plain

FILES_PER_DIRECTORY = 1000
FILE_BYTES = 1000
NAMES_TARGET_S = 5.0
START_TARGET_S = 0.15
STARTS = (
    ("--help",), ("version",), ("put", "--help"), ("get", "--help"), ("join", "--help"),
    ("id",), ("status",), ("list",), ("peers",), ("pin", "ls"), ("config",),
)  # fmt: skip


def tree(place: Path, files: int, names: int) -> list[Row]:
    """``files`` small files through a node and out of another, and a directory of ``names``."""
    source = _files(place / "source", files, FILES_PER_DIRECTORY)
    wide = _files(place / "wide", names, names)
    with (
        processes.daemon(place / "holder") as holder,
        processes.daemon(place / "reader", holder.ticket, "--capacity", "0") as reader,
    ):
        copied_s = _took(["cp", "-r", str(source), str(place / "copy")])
        tarred_s = _took(["tar", "-cf", str(place / "tar"), "-C", str(source), "."])
        before_s = holder.cpu_s
        put = holder.run("put", source, "--replicas", "1", "--min-acks", "1")
        put_cpu_s = holder.cpu_s - before_s
        before_s = holder.cpu_s + reader.cpu_s
        got = reader.run("get", put.last_line, "-o", place / "out")
        get_cpu_s = holder.cpu_s + reader.cpu_s - before_s
        same(source, place / "out")
        listed = holder.run("put", wide, "--replicas", "1", "--min-acks", "1").last_line
        rows = _of_names(reader, listed, names)
    name = f"{files:,} files of {FILE_BYTES:,} B"
    return [
        plain(f"cp -r of {name}", copied_s, "s"),
        plain(f"tar of {name}", tarred_s, "s"),
        plain(f"put of {name}", put.seconds, "s"),
        plain(f"put of {name}, CPU of the node", put_cpu_s, "s"),
        plain(f"put of {name} / cp -r", put.seconds / copied_s, "x"),
        plain(f"put of {name} / tar", put.seconds / tarred_s, "x"),
        plain(f"get of {name}", got.seconds, "s"),
        plain(f"get of {name}, CPU of both nodes", get_cpu_s, "s"),
        plain(f"get of {name} / cp -r", got.seconds / copied_s, "x"),
        *rows,
    ]


def starts(place: Path, rounds: int) -> list[Row]:
    """From the call of a command to the first byte that it prints, beside ``python -c pass``."""
    bare_s = statistics.median(_took([processes.PYTHON, "-c", "pass"]) for _ in range(rounds))
    with (
        processes.daemon(place / "node") as node,
        processes.daemon(place / "peer", node.ticket, "--capacity", "0"),
    ):
        node.run("put", Path(__file__), "--replicas", "1", "--min-acks", "1")
        rows = [_start(arguments, node, rounds) for arguments in STARTS]
    return [plain("python -c pass", bare_s, "s"), *rows]


def _start(arguments: tuple[str, ...], node: Daemon, rounds: int) -> Row:
    home = () if arguments[-1] in ("--help", "version") else ("--home", str(node.home))
    times_s = [processes.first_byte_s(*arguments, *home) for _ in range(rounds)]
    name = f"dhtstore {' '.join(arguments)}, first byte"
    return at_most(name, statistics.median(times_s), START_TARGET_S, "s")


def _of_names(reader: Daemon, root: str, names: int) -> list[Row]:
    """From a node that holds none of it; the first command fetches, so each gets a fresh root."""
    first_s = processes.first_byte_s("ls", "--home", str(reader.home), root)
    one = reader.home.with_name("one")
    timed: dict[str, Callable[[], processes.Finished]] = {
        "ls": lambda: reader.run("ls", root),
        "stat": lambda: reader.run("stat", root),
        "get of one": lambda: reader.run("get", f"{root}/{_name(names // 2)}", "-o", one),
    }
    rows = [at_most(f"ls of {names:,} names, first line", first_s, START_TARGET_S * 10, "s")]
    for what, run in timed.items():
        rows.append(at_most(f"{what} of {names:,} names", run().seconds, NAMES_TARGET_S, "s"))
    return rows


def _files(place: Path, count: int, per_directory: int) -> Path:
    for number in range(count):
        if number % per_directory == 0:
            below = place / f"{number // per_directory:04}" if count > per_directory else place
            below.mkdir(parents=True)
        (below / _name(number)).write_bytes(number.to_bytes(8, "big") * (FILE_BYTES // 8))
    return place


def _name(number: int) -> str:
    return f"file-{number:06}.txt"


def _took(command: list[str]) -> float:
    started_s = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started_s


def same(source: Path, out: Path) -> None:
    if subprocess.run(["diff", "-rq", str(source), str(out)], check=False).returncode:
        raise SystemExit(f"{out} is not what was put")
