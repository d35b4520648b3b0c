"""How much a get fetches again after it was killed: `python -m benchmarks.killed`.

A get that is a node of its own (`--seed`) is killed with SIGKILL at random moments, over and over,
until one comes to its end.  It is stopped before, so that the kernel (`ss`) can tell how much of
what holders sent it has read; what waited in the kernel at the last look before that was sent for
nothing, too.  Of the try that comes to its end, its own count is taken.  What all that is more than
the file was fetched again.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import json
import os
import random
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import COMMAND, Daemon

MIB = 1024 * 1024


@dataclass(slots=True)
class Tries:
    """``again_bytes`` of each kill: what was sent until then and not found by the next try."""

    again_bytes: list[int] = field(default_factory=list)

    def told(self) -> str:
        worst = max(self.again_bytes, default=0)
        return f"{len(self.again_bytes)} kills, at most {worst / MIB:.1f} MiB fetched again"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=400 * MIB, help="bytes of the file")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--holders", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", help="where files lie; a temporary one if not given")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(dir=asked.directory) as place:
        tries = measure(Path(place), asked.size, asked.rounds, asked.holders, rng)
    print(tries.told())


def measure(place: Path, size_bytes: int, rounds: int, holders: int, rng: random.Random) -> Tries:
    """``rounds`` gets, each killed once and then left to come to its end."""
    source, tries = place / "source", Tries()
    with source.open("wb") as file:
        for _ in range(0, size_bytes, MIB):
            file.write(rng.randbytes(MIB))
    with running(place, size_bytes, holders) as nodes:
        put = ("--replicas", str(holders), "--min-acks", str(holders))
        cid = nodes[0].run("put", source, *put).last_line
        whole = _get(cid, nodes[0].ticket, place / "warm")
        os.unlink(place / "warm")
        for number in range(rounds):
            target = place / f"copy{number}"
            sent_bytes = _killed_get(cid, nodes, target, rng.uniform(0.05, 0.95), size_bytes)
            came_bytes = _get(cid, nodes[0].ticket, target)
            if not filecmp.cmp(source, target, shallow=False):
                raise SystemExit("what was got is not what was put")
            os.unlink(target)
            tries.again_bytes.append(sent_bytes + came_bytes - whole)
            print(
                f"killed after {sent_bytes / MIB:.1f} MiB, then {came_bytes / MIB:.1f} MiB: "
                f"{tries.again_bytes[-1] / MIB:.1f} MiB again",
                flush=True,
            )
    return tries


@contextlib.contextmanager
def running(place: Path, size_bytes: int, holders: int) -> Iterator[list[Daemon]]:
    """Storage nodes, each of which has room for the file."""
    capacity = ("--capacity", str(2 * size_bytes + 256 * MIB))
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(processes.daemon(place / "holder0", *capacity))]
        for number in range(1, holders):
            joined = processes.daemon(place / f"holder{number}", nodes[0].ticket, *capacity)
            nodes.append(stack.enter_context(joined))
        yield nodes


def _get(cid: str, ticket: str, target: Path) -> int:
    """A get to its end; how many bytes of blocks came."""
    told = processes.run("get", cid, "--seed", ticket, "-o", target, "--json")
    holders = json.loads(told.stdout)["report"]["holders"]
    return sum(int(holder["delivered_bytes"]) for holder in holders)


def _killed_get(cid: str, nodes: list[Daemon], target: Path, share: float, size_bytes: int) -> int:
    """A get that is killed when about ``share`` of the file was sent; how much was, in bytes."""
    command = [COMMAND, "get", cid, "--seed", nodes[0].ticket, "-o", str(target), "--quiet"]
    sent_bytes = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as getting:
        while getting.poll() is None:
            read_bytes, waiting_bytes = _came_bytes(getting.pid)
            if read_bytes >= share * size_bytes:
                getting.send_signal(signal.SIGSTOP)
                sent_bytes = max(read_bytes, _came_bytes(getting.pid)[0]) + waiting_bytes
                getting.kill()
    if getting.returncode >= 0:
        raise SystemExit("the get came to its end before it was killed: take a larger --size")
    return sent_bytes


def _came_bytes(pid: int) -> tuple[int, int]:
    """Of what came over TCP for a process, what it has read, and what waits for it in the kernel:
    the second column."""
    told = subprocess.run(
        ["ss", "-tinpHO"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ours = [line for line in told if f"pid={pid}," in line]
    came_bytes = sum(int(n) for line in ours for n in re.findall(r"bytes_received:(\d+)", line))
    waiting_bytes = sum(int(line.split()[1]) for line in ours)
    return came_bytes - waiting_bytes, waiting_bytes


if __name__ == "__main__":
    main()
