"""What else moves a file of the same size here: dd, cp, rsync, and iperf3 over loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import first_line
from benchmarks.report import Row, absent, plain

IPERF_S = 5


def rivals(place: Path, source: Path, rounds: int) -> list[Row]:
    """All write to where ``place`` lies, and their bytes are on the disk at the end; the source is
    warm."""
    size = source.stat().st_size
    commands: dict[str, Sequence[str]] = {
        "dd conv=fsync": ("dd", f"if={source}", f"of={place}/dd", "bs=1M", "conv=fsync"),
        "cp and fsync": ("cp", str(source), f"{place}/cp"),
        "rsync and fsync": ("rsync", "-W", "--inplace", str(source), f"{place}/rsync"),
    }
    rows = []
    for name, command in commands.items():
        if shutil.which(command[0]) is None:
            rows.append(absent(name))
            continue
        took_s = [_took_s(command, place) for _ in range(rounds)]
        rows.append(plain(name, size / 1e6 / statistics.median(took_s), "MB/s"))
    return [*rows, _iperf3()]


def _took_s(command: Sequence[str], place: Path) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    for written in place.iterdir():
        fd = os.open(written, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    seconds = time.perf_counter() - began_s
    for written in place.iterdir():
        written.unlink()
    return seconds


def _iperf3() -> Row:
    name = "iperf3 on loopback"
    if shutil.which("iperf3") is None:
        return absent(name)
    port = str(_free_port())
    command = ["iperf3", "-s", "--one-off", "--bind", "127.0.0.1", "-p", port, "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        first_line(server, IPERF_S)
        asked = ["iperf3", "-c", "127.0.0.1", "-p", port, "-t", str(IPERF_S), "-J"]
        told = subprocess.run(asked, check=True, capture_output=True, text=True)
    bits = json.loads(told.stdout)["end"]["sum_received"]["bits_per_second"]
    return plain(name, bits / 8e6, "MB/s")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
