"""dhtstore as its users run it: the installed command, in processes of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
COMMAND = str(Path(sys.executable).with_name("dhtstore"))
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 900.0
LOG_TAIL_CHARS = 2000
KIB = 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended well."""

    stdout: str
    seconds: float
    peak_bytes: int

    @property
    def last_line(self) -> str:
        return self.stdout.strip().splitlines()[-1]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running ``dhtstore join``."""

    name: str
    home: Path
    ticket: str
    pid: int

    @property
    def peak_bytes(self) -> int:
        """Peak resident memory so far (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        row = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(row.split()[1]) * KIB

    @property
    def cpu_s(self) -> float:
        """User and system time so far."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, command: str, *arguments: str | Path) -> Finished:
        """``dhtstore COMMAND --home HOME ARGUMENTS``."""
        return run(command, "--home", self.home, *arguments)


def run(*arguments: str | Path) -> Finished:
    """Run ``dhtstore ARGUMENTS`` to its end; ends the benchmark if it fails."""
    started_s = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = threading.Timer(COMMAND_TIMEOUT_S, process.kill)
    deadline.start()
    stdout = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started_s
    deadline.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dhtstore {' '.join(map(str, arguments))}: exit {process.returncode}")
    return Finished(stdout, seconds, usage.ru_maxrss * KIB)


def first_byte_s(*arguments: str) -> float:
    """Seconds from the start of ``dhtstore ARGUMENTS`` to the first byte it prints."""
    started_s = time.perf_counter()
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 1)
        seconds = time.perf_counter() - started_s
        process.stdout.read()
    if not first or process.returncode:
        raise SystemExit(f"dhtstore {' '.join(arguments)}: exit {process.returncode}")
    return seconds


@contextmanager
def daemon(home: Path, *arguments: str) -> Iterator[Daemon]:
    """``dhtstore join`` on a free loopback port until the block ends."""
    command = [COMMAND, "join", *arguments, "--listen", "127.0.0.1:0", "--home", str(home)]
    log = home.with_suffix(".log")
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            yield Daemon(home.name, home, first_line(process, START_TIMEOUT_S), process.pid)
        except BaseException:
            print(f"{home.name} said:", log.read_text()[-LOG_TAIL_CHARS:], file=sys.stderr)
            raise
        finally:
            stop(process)


def first_line(process: subprocess.Popen[str], timeout_s: float) -> str:
    """The first line a process prints; ends the benchmark if none comes in time."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(timeout_s) else ""
    if not line:
        process.kill()
        raise SystemExit(f"{process.args!r} ended or printed nothing for {timeout_s:.0f} s")
    return line.strip()


def stop(process: subprocess.Popen[str]) -> None:
    """End it, in order if it does so in time."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
