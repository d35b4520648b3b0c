"""get from three holders against one, and with one of three slow: `python -m benchmarks.many`.

Interleaved in one run: all holders run all the time, each row in a network of its own.  Medians, of
the ratios of neighbours too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.killed import MIB, running
from benchmarks.report import Row, at_least, plain, table

SLOW_RATE = "1MB/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024 * MIB, help="bytes of the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where files lie; a temporary one if not given")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.directory) as place:
        print(table(measure(Path(place), asked.size, asked.rounds)))


def measure(place: Path, size_bytes: int, rounds: int) -> list[Row]:
    """One holder, three, and three of which one is slow, in networks of their own."""
    source = place / "source"
    with source.open("wb") as file:
        for _ in range(0, size_bytes, MIB):
            file.write(os.urandom(MIB))
    with contextlib.ExitStack() as stack:
        networks: dict[str, tuple[str, str]] = {}
        for name, holders in (("one", 1), ("three", 3), ("one of three slow", 3)):
            (place / name).mkdir()
            nodes = stack.enter_context(running(place / name, size_bytes, holders))
            copies = ("--replicas", str(holders), "--min-acks", str(holders))
            cid = nodes[0].run("put", source, *copies).last_line
            if "slow" in name:
                nodes[-1].run("config", "limit_up", SLOW_RATE)
            networks[name] = nodes[0].ticket, cid
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
        for number in range(rounds + 1):
            for name, network in networks.items():
                took = _get(place / "copy", *network)
                taken[name] += [took] if number else []  # the first warms up
    return _rows(taken, size_bytes)


def _get(target: Path, ticket: str, cid: str) -> tuple[float, float]:
    """Wall seconds, and the getter's processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun_s = time.perf_counter()
    processes.run("get", cid, "--seed", ticket, "-o", target, "--quiet")
    seconds = time.perf_counter() - begun_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    target.unlink()
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _rows(taken: dict[str, list[tuple[float, float]]], size_bytes: int) -> list[Row]:
    rows = []
    for name, took in taken.items():
        rate = size_bytes / 1e6 / statistics.median(seconds for seconds, _ in took)
        cpu_s = statistics.median(cpu_s for _, cpu_s in took)
        rows.append(plain(f"get, holders: {name}", rate, "MB/s"))
        rows.append(plain(f"get, holders: {name}, CPU of the getter", cpu_s, "s"))
    for name, other, target in (("three", "one", 0.95), ("one of three slow", "three", 0.88)):
        pairs = zip(taken[name], taken[other], strict=True)
        ratio = statistics.median(theirs / ours for (ours, _), (theirs, _) in pairs)
        rows.append(at_least(f"get, holders: {name} / {other}", ratio, target, "x"))
    return rows


if __name__ == "__main__":
    main()
