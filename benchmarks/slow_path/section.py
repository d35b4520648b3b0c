"""get over a path with 50 ms RTT, 1 % loss each way and 100 Mbit/s, beside iperf3 over the same."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import COMMAND, PYTHON, START_TIMEOUT_S, first_line, stop
from benchmarks.report import Row, at_least, plain

HOSTS: Final = ("10.201.0.1", "10.201.0.2")
IPERF_S: Final = 10
TARGET: Final = 0.85
CONGESTION: Final = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@dataclass(frozen=True, slots=True)
class End:
    """One end of the path: a namespace, and its address there."""

    namespace: str
    host: str

    @property
    def inside(self) -> list[str]:
        """What a command begins with that is to run there."""
        return ["ip", "netns", "exec", self.namespace]


def slow_path(directory: Path, size_bytes: int, rounds: int) -> list[Row]:
    """get from one holder against iperf3 with the same congestion control, one after the other."""
    _check()
    source = directory / "source"
    source.write_bytes(os.urandom(size_bytes))
    with ExitStack() as stack:
        near, far = stack.enter_context(_path())
        ticket = stack.enter_context(_node(near, directory / "holder"))
        stack.enter_context(_node(far, directory / "getter", ticket, "--capacity", "0"))
        cid = _command(near, "put", directory / "holder", source, "--replicas", "1")
        congestion = "bbr" if "bbr" in CONGESTION.read_text().split() else "cubic"
        pairs = [
            (_get(far, directory, cid, source), _iperf(near, far, congestion))
            for _ in range(rounds + 1)
        ][1:]  # the first one warms up
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return [
        plain("slow path, get", statistics.median(mine for mine, _ in pairs) / 1e6, "MB/s"),
        plain(f"slow path, iperf3 -C {congestion}", _median_mb(pairs), "MB/s"),
        at_least("slow path, get / iperf3", ratio, TARGET, ""),
    ]


def _median_mb(pairs: list[tuple[float, float]]) -> float:
    return statistics.median(theirs for _, theirs in pairs) / 1e6


def _check() -> None:
    """Raises SystemExit where it cannot be measured."""
    if os.geteuid() != 0:
        raise SystemExit("slow-path makes network namespaces and TUN devices: it needs root")
    for program in ("ip", "iperf3"):
        if shutil.which(program) is None:
            raise SystemExit(f"slow-path needs the program {program}")


@contextmanager
def _path() -> Iterator[tuple[End, End]]:
    """Two namespaces with the router between them."""
    names = [f"dht-{os.getpid()}-{side}" for side in "ab"]
    ends = [End(name, host) for name, host in zip(names, HOSTS, strict=True)]
    command = [PYTHON, "-m", "benchmarks.slow_path.router", *names]
    with ExitStack() as stack:
        router = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(stop, router)
        first_line(router, START_TIMEOUT_S)
        for end in ends:
            _ip("netns", "add", end.namespace)
            stack.callback(_ip, "netns", "delete", end.namespace)
            _ip("link", "set", end.namespace, "netns", end.namespace)
            _ip("-n", end.namespace, "addr", "add", f"{end.host}/24", "dev", end.namespace)
            for device in ("lo", end.namespace):
                _ip("-n", end.namespace, "link", "set", device, "up")
        yield ends[0], ends[1]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def _node(end: End, home: Path, *arguments: str) -> Iterator[str]:
    """A node at that end until the block ends; its ticket."""
    command = [COMMAND, "join", *arguments, "--listen", f"{end.host}:7400", "--home", str(home)]
    if not arguments:
        command += ["--capacity", "10GB"]
    with (
        home.with_suffix(".log").open("w") as log,
        subprocess.Popen(
            [*end.inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield first_line(process, START_TIMEOUT_S)
        except BaseException:
            print(home.with_suffix(".log").read_text()[-2000:], file=sys.stderr)
            raise
        finally:
            stop(process)


def _command(end: End, name: str, home: Path, *arguments: str | Path) -> str:
    """The last line, if any, that a command prints at that end; raises CalledProcessError."""
    command = [*end.inside, COMMAND, name, "--home", str(home), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().rpartition("\n")[2]


def _get(end: End, directory: Path, cid: str, source: Path) -> float:
    """Bytes a second of a whole command."""
    target = directory / "out"
    begun_s = time.perf_counter()
    _command(end, "get", directory / "getter", cid, "-o", target)
    lasted_s = time.perf_counter() - begun_s
    if not filecmp.cmp(source, target, shallow=False):
        raise SystemExit("what came is not what was put")
    target.unlink()
    return source.stat().st_size / lasted_s


def _iperf(near: End, far: End, congestion: str) -> float:
    """Payload bytes a second that arrive at the far end."""
    serving = [*near.inside, "iperf3", "--server", "--one-off", "--forceflush"]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
        try:
            first_line(server, START_TIMEOUT_S)
            client = ["iperf3", "--client", near.host, "--reverse", "--json"]
            options = ["--time", str(IPERF_S), "--congestion", congestion]
            done = subprocess.run(
                [*far.inside, *client, *options], check=True, stdout=subprocess.PIPE, text=True
            )
        finally:
            stop(server)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 8
