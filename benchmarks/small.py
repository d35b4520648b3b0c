"""Many small files into a node and out of another, beside cp, rsync and restic of the same tree."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import processes
from benchmarks.processes import Daemon
from benchmarks.report import Row, absent, at_least, plain
from benchmarks.trees import FILES_PER_DIRECTORY, same

CAPACITY = "2GB"
FILE_BYTES = 4096
PUT_TARGET = 10_000  # files a second
GET_TARGET = 8_000


def small(place: Path, files: int, rounds: int) -> list[Row]:
    """Each round puts a tree of its own, gets it into a fresh directory, and lets the others copy
    it; the first round warms up and is not counted.

    The trees stay until the end: for minutes after files were deleted, ext4 steps over each of
    their inodes whenever a file is made in the same group (``recently_deleted``, fs/ext4/ialloc.c):
    files took ten times as long to make, by whatever program, as in a directory where none was
    deleted."""
    taken: dict[str, list[float]] = {}
    with (
        processes.daemon(place / "holder", "--capacity", CAPACITY) as holder,
        processes.daemon(place / "reader", holder.ticket, "--capacity", "0") as reader,
    ):
        for number in range(rounds + 1):
            fresh = place / f"round-{number}"
            source = _tree(fresh / "source", files)
            for name, seconds in _round(holder, reader, source, fresh).items():
                taken.setdefault(name, []).append(seconds)
    return _rows(files, {name: seconds[1:] for name, seconds in taken.items()})


def _round(holder: Daemon, reader: Daemon, source: Path, fresh: Path) -> dict[str, float]:
    put = holder.run("put", source, "--replicas", "1", "--min-acks", "1")
    got = reader.run("get", put.last_line, "-o", fresh / "out")
    same(source, fresh / "out")
    times_s = {"put": put.seconds, "get": got.seconds}
    for name, command in _rivals(source, fresh).items():
        if shutil.which(command[0]):
            times_s[name] = _took_s(command, fresh)
    return times_s


def _rivals(source: Path, fresh: Path) -> dict[str, Sequence[str]]:
    """restic makes its repository before it is measured."""
    repository = ("--repo", str(fresh / "restic"), "--no-cache", "--quiet")
    if shutil.which("restic"):
        subprocess.run(["restic", *repository, "init"], check=True, env=_environment())
    return {
        "cp -r": ("cp", "-r", str(source), str(fresh / "cp")),
        "rsync -a": ("rsync", "-a", f"{source}/", str(fresh / "rsync")),
        "restic backup": ("restic", *repository, "backup", str(source)),
    }


def _environment() -> dict[str, str]:
    return {**os.environ, "RESTIC_PASSWORD": "benchmark"}


def _took_s(command: Sequence[str], place: Path) -> float:
    """With what it wrote on the disk, as put and get have it when they end."""
    began_s = time.perf_counter()
    subprocess.run(command, check=True, env=_environment(), stdout=subprocess.DEVNULL)
    subprocess.run(["sync", "-f", str(place)], check=True)
    return time.perf_counter() - began_s


def _tree(path: Path, files: int) -> Path:
    for number in range(files):
        directory = path / f"{number // FILES_PER_DIRECTORY:04d}"
        if number % FILES_PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"{number:07d}").write_bytes(os.urandom(FILE_BYTES))
    subprocess.run(["sync", "-f", str(path)], check=True)
    return path


def _rows(files: int, taken: dict[str, list[float]]) -> list[Row]:
    name = f"{files:,} files of {FILE_BYTES:,} B"
    rates = {each: files / statistics.median(seconds) for each, seconds in taken.items()}
    rows = [
        at_least(f"put of {name}", rates["put"], PUT_TARGET, "files/s"),
        at_least(f"get of {name}", rates["get"], GET_TARGET, "files/s"),
    ]
    for rival in ("cp -r", "rsync -a", "restic backup"):
        if rival not in taken:
            rows.append(absent(f"{rival} of {name}"))
            continue
        rows.append(plain(f"{rival} of {name}", rates[rival], "files/s"))
        for ours in ("put", "get"):
            pairs = zip(taken[ours], taken[rival], strict=True)
            ratio = statistics.median(theirs_s / ours_s for ours_s, theirs_s in pairs)
            rows.append(plain(f"{ours} of {name} / {rival}", ratio, "x"))
    return rows
