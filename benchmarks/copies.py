"""A put with three copies elsewhere, by pipeline and directly: rate, CPU of every process, and how
often the uploader sent each byte."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Daemon
from benchmarks.report import Row, at_least, at_most, plain

COPIES = 3
_SENT = re.compile(r"bytes_sent:(\d+)")


@dataclass(frozen=True, slots=True)
class Sent:
    """One put: what it took, of all processes the CPU, and what left the uploader by TCP."""

    seconds: float
    cpu_s: float
    egress_bytes: int


def copies(place: Path, source: Path, rounds: int) -> list[Row]:
    """Interleaved, each in fresh directories; the medians."""
    size_bytes = source.stat().st_size
    runs: dict[str, list[Sent]] = {"pipeline": [], "direct": []}
    for number in range(rounds):
        for manner, flags in (("pipeline", ()), ("direct", ("--no-pipeline",))):
            runs[manner].append(_put(place / f"{manner}-{number}", source, flags))
    rate = {
        manner: _median(size_bytes / 1e6 / each.seconds for each in done)
        for manner, done in runs.items()
    }
    rows = [
        at_least(f"put with {COPIES} copies elsewhere, pipeline", rate["pipeline"], 150, "MB/s"),
        plain(f"put with {COPIES} copies elsewhere, direct", rate["direct"], "MB/s"),
    ]
    for manner, each in runs.items():
        egress = _median(run.egress_bytes / size_bytes for run in each)
        cpu_s = _median(run.cpu_s * 2**30 / size_bytes for run in each)
        limit = 1.02 if manner == "pipeline" else COPIES * 1.02
        rows.append(at_most(f"uploader's egress, {manner}", egress, limit, "x the file"))
        rows.append(plain(f"CPU of all processes, {manner}", cpu_s, "core-s/GiB"))
    return rows


def _put(place: Path, source: Path, flags: tuple[str, ...]) -> Sent:
    place.mkdir(parents=True)
    capacity = ("--capacity", f"{4 * source.stat().st_size // 1000**3 + 4}GB")
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(processes.daemon(place / "client", "--capacity", "0"))
        holders = [
            stack.enter_context(processes.daemon(place / f"holder-{n}", client.ticket, *capacity))
            for n in range(COPIES)
        ]
        nodes = [client, *holders]
        time.sleep(1)  # until all know each other
        before_s = sum(node.cpu_s for node in nodes)
        wanted = ("--replicas", str(COPIES), "--min-acks", str(COPIES))
        done = client.run("put", source, *wanted, *flags)
        cpu_s = sum(node.cpu_s for node in nodes) - before_s
        return Sent(done.seconds, cpu_s, _egress_bytes(client))


def _egress_bytes(node: Daemon) -> int:
    """Of the connections that it has, as the kernel counts them; idle ones last for a minute."""
    listed = subprocess.run(["ss", "-tinpOH"], capture_output=True, text=True, check=True).stdout
    own = [line for line in listed.splitlines() if f"pid={node.pid}," in line]
    return sum(int(found[1]) for line in own if (found := _SENT.search(line)))


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
