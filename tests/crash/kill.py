"""SIGKILL at random moments: real processes with a real store and ledger, one after another on the
same home, each looked at when it is dead.

    python -m tests.crash.kill --rounds 300 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dhtstore.errors import DhtstoreError
from tests.crash import oracle
from tests.crash.history import History
from tests.crash.recording import work_directory
from tests.crash.workload import work

STEPS: Final = 200  # more than a process lives to do
MARKS_MAX: Final = 60  # it is killed before it has made more
CHAINED: Final = 10  # processes on one home
FIRST_EACH: Final = 10_000  # numbers of blocks


@dataclass(frozen=True, slots=True)
class Killed:
    """In the middle of what, and what was wrong with what it left, "" for nothing."""

    at: str
    wrong: str


def kill_rounds(seed: int, rounds: int) -> Iterator[Killed]:
    """Ends with the first that is wrong."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="dhtstore-", dir=work_directory()) as name:
        for number in range(rounds):
            if number % CHAINED == 0:
                home, history = Path(name) / str(number), History()
                home.mkdir(mode=0o700)
            _kill_one(home, history, rng, number)
            killed = Killed(history.at, _wrong(home, history))
            yield killed
            if killed.wrong:
                return
            if number % CHAINED == CHAINED - 1:
                shutil.rmtree(home)


def _kill_one(home: Path, history: History, rng: random.Random, number: int) -> None:
    """Start one, kill it some way after one of its marks, and read what it said."""
    marks, seed, spin = rng.randrange(MARKS_MAX), rng.randrange(1 << 30), rng.randrange(100_000)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _live(home, seed, number * FIRST_EACH, reading, writing)
    os.close(writing)
    with open(reading, encoding="ascii") as said:
        lines = [said.readline() for _ in range(marks)]
        sum(range(spin))
        os.kill(child, signal.SIGKILL)
        lines += said.readlines()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the process of round {number} ended by itself: {status}"
    for line in lines:
        if line.endswith("\n"):
            history.add(line)


def _live(home: Path, seed: int, first: int, reading: int, writing: int) -> None:
    """The child: never returns."""
    try:
        os.close(reading)
        work(home, seed, first, STEPS, lambda text: _say(writing, text))
    finally:
        os._exit(3)


def _say(to: int, text: str) -> None:
    os.write(to, f"{text}\n".encode())


def _wrong(home: Path, history: History) -> str:
    try:
        oracle.check(home, history)
    except (AssertionError, DhtstoreError, OSError) as error:
        return repr(error)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill processes, and look at what they leave.")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    moments: Counter[str] = Counter()
    for killed in kill_rounds(chosen.seed, chosen.rounds):
        moments[killed.at] += 1
        if killed.wrong:
            print(f"round {moments.total()}, killed in {killed.at}: {killed.wrong}")
            return 1
    print(f"{moments.total()} processes killed, nothing lost: in {dict(moments.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
