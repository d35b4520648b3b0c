"""One attack: a fresh node, an honest user beside it, strangers for a while, and what was seen."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.hostile.origins import Addresses
from benchmarks.hostile.outcome import Command, Outcome, recovery_s
from benchmarks.hostile.traces import (
    Memory,
    claimed_bytes,
    share_bytes,
    stored_bytes,
    worst_stall_ms,
)
from benchmarks.processes import first_line

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 20.0
SETTLE_S: Final = 2.0
QUIET_ROUNDS: Final = 4  # the first warms up and is not counted
QUIET_TIMEOUT_S: Final = 120.0
AFTER_S: Final = 30.0  # in which the node must have recovered, and what lasts is what is left then
LAST_COMMAND_S: Final = 15.0


@dataclass(slots=True)
class User:
    """What the honest user's process has told so far."""

    ticket: str
    owner: bytes
    commands: list[Command] = field(default_factory=list)

    def rounds(self) -> int:
        return sum(command.what == "get" for command in self.commands)


def fight(attack: str, seconds: float, place: Path, addresses: Addresses) -> Outcome:
    """Run one attack in ``place``, an empty directory."""
    known, notes = place / "known", place / "stalls"
    known.touch()
    with _node(place, notes, addresses) as (ticket, pid):
        time.sleep(SETTLE_S)
        idle_bytes = Memory(pid).now_bytes
        with _user(place, ticket, known, addresses) as user:
            _wait(lambda: user.rounds() >= QUIET_ROUNDS, QUIET_TIMEOUT_S)
            quiet_bytes = Memory(pid).peak_bytes
            Memory(pid).forget_peak()
            began_s = time.monotonic()
            attacker_cpu_s = _attack(attack, seconds, ticket, user, known, addresses)
            ended_s = time.monotonic()
            time.sleep(min(AFTER_S, seconds))
            _wait(lambda: recovery_s(user.commands, began_s, ended_s) is not None, AFTER_S)
            peak_bytes = Memory(pid).peak_bytes
        claims_of, on_disk = place / "node", stored_bytes(place / "node")
    return Outcome(
        attack=attack,
        commands=tuple(user.commands),
        began_s=began_s,
        ended_s=ended_s,
        memory_bytes=peak_bytes - idle_bytes,
        quiet_memory_bytes=quiet_bytes - idle_bytes,
        stall_ms=worst_stall_ms(notes, began_s, ended_s),
        quiet_stall_ms=worst_stall_ms(notes, user.commands[0].started_s, began_s),
        stored_bytes=on_disk,
        claims=claimed_bytes(claims_of, user.owner),
        share_bytes=share_bytes(claims_of),
        attacker_cores=attacker_cpu_s / max(seconds, 1e-9),
    )


@contextmanager
def _node(place: Path, notes: Path, addresses: Addresses) -> Iterator[tuple[str, int]]:
    """The node under attack, of default settings: its ticket and its process."""
    command: list[str | Path] = [
        "watched",
        notes,
        "join",
        "--listen",
        f"{addresses.node}:0",
        "--home",
        place / "node",
    ]
    with _module(command, log=place / "node.log") as process:
        yield first_line(process, START_TIMEOUT_S), process.pid


@contextmanager
def _user(place: Path, ticket: str, known: Path, addresses: Addresses) -> Iterator[User]:
    (place / "user").mkdir()
    command: list[str | Path] = ["honest", "--node", ticket, "--listen", f"{addresses.user}:0"]
    command += ["--place", place / "user", "--known", known]
    with _module(command, log=place / "user.log") as process:
        said = json.loads(first_line(process, START_TIMEOUT_S))
        user = User(said["ticket"], bytes.fromhex(said["owner"]))
        listening = threading.Thread(target=_listen, args=(process, user), daemon=True)
        listening.start()
        yield user
        _wait(lambda: len(user.commands) % 2 == 0, LAST_COMMAND_S)
    listening.join()


def _listen(process: subprocess.Popen[str], user: User) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        user.commands.append(Command(**json.loads(line)))


def _attack(
    attack: str, seconds: float, ticket: str, user: User, known: Path, addresses: Addresses
) -> float:
    """Let strangers loose for ``seconds``; how much processor time they took."""
    command: list[str | Path] = ["attacker", attack, "--node", ticket, "--user", user.ticket]
    command += ["--first", addresses.first, "--known", known, "--seconds", f"{seconds:g}"]
    before_s = _children_cpu_s()
    with _module(command, log=known.with_name("attacker.log")) as process:
        try:
            process.wait(seconds + STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    if process.returncode > 0:
        raise SystemExit(f"the attacker failed: {known.with_name('attacker.log').read_text()}")
    return _children_cpu_s() - before_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _module(arguments: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A module of this package in a process of its own, until the block ends."""
    name, *rest = map(str, arguments)
    command = [sys.executable, "-m", f"benchmarks.hostile.{name}", *rest]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            print(f"{name} said:", log.read_text()[-2000:], file=sys.stderr)
            raise
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait(until: Callable[[], bool], at_most_s: float) -> None:
    deadline_s = time.monotonic() + at_most_s
    while not until() and time.monotonic() < deadline_s:
        time.sleep(0.1)
