"""Time to the first byte of a file, small or very large: it must not grow with the size."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks import processes
from benchmarks.report import Row, at_most, plain

SIZES = {"1 GiB": 1 << 30, "100 GiB": 100 << 30}


def beginnings(place: Path, rounds: int) -> list[Row]:
    """Sparse files, so that little is stored; read through a node that holds none of them."""
    with (
        processes.daemon(place / "holder", "--capacity", "1GB") as holder,
        processes.daemon(place / "reader", holder.ticket, "--capacity", "0") as reader,
    ):
        roots = {name: _put(holder, place / name, size) for name, size in SIZES.items()}
        firsts_s: dict[str, list[float]] = {name: [] for name in roots}
        for _ in range(rounds + 1):
            for name, root in roots.items():
                first_s = processes.first_byte_s(
                    "cat", root, "--range", "1+1", "--home", str(reader.home)
                )
                firsts_s[name].append(first_s)
    rows = []
    for name, times_s in firsts_s.items():
        rows.append(plain(f"first byte of {name}", statistics.median(times_s[1:]), "s"))
    small, large = firsts_s.values()
    ratio = statistics.median([b / a for a, b in zip(small[1:], large[1:], strict=True)])
    return [*rows, at_most("first byte of 100 GiB / of 1 GiB", ratio, 1.2, "x")]


def _put(holder: processes.Daemon, path: Path, size_bytes: int) -> str:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return holder.run("put", path, "--replicas", "1", "--min-acks", "1").last_line
