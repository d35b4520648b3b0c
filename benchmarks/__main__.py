"""``python -m benchmarks``: measure and print the table; exit 1 if a target is missed."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import kept
from benchmarks.report import Row, busy, machine, table
from benchmarks.sections import ON_TMPFS, SECTIONS, Plan

# Of the others one needs root, and one is of the laboratory.
DEFAULT = [name for name in SECTIONS if name not in ("slow-path", "sweep")]
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.readme or arguments.rows_of:
        return _shown_again(arguments)
    print(machine())
    rows: list[Row] = []
    try:
        for name in arguments.only:
            print(f"measuring {name} ...", file=sys.stderr)
            rows += _everywhere(name, arguments)
    finally:
        print(table(rows))
        if arguments.json:
            kept.save(arguments.json, rows)
    if arguments.chart:
        kept.draw(arguments.chart, rows)
    return int(any(row.met is False for row in rows))


def _shown_again(arguments: argparse.Namespace) -> int:
    """The table of the README, or a chart, from the rows of an earlier run."""
    if arguments.readme:
        kept.write_readme(Path("README.md"), kept.load(arguments.readme))
    if arguments.rows_of and arguments.chart:
        kept.draw(arguments.chart, kept.load(arguments.rows_of))
    return 0


def _everywhere(name: str, arguments: argparse.Namespace) -> list[Row]:
    """On disk, and what moves files also on tmpfs, so that disk and code are told apart."""
    rows = _measured(name, arguments, arguments.dir, on_tmpfs=False)
    if name in ON_TMPFS and arguments.tmpfs.is_dir():
        found = _measured(name, arguments, arguments.tmpfs, on_tmpfs=True)
        rows += [replace(row, figure=f"{row.figure}, tmpfs") for row in found]
    note = busy(os.getloadavg()[0], os.cpu_count() or 1)
    return [replace(row, busy=note) for row in rows]


def _measured(
    name: str, arguments: argparse.Namespace, where: Path | None, *, on_tmpfs: bool
) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="dhtstore-bench-", dir=where) as directory:
        plan = Plan(
            directory=Path(directory),
            on_tmpfs=on_tmpfs,
            size_bytes=arguments.size,
            memory_size_bytes=arguments.memory_size,
            rounds=arguments.rounds,
            idle_s=arguments.idle_seconds,
            files=arguments.files,
            small_files=arguments.small_files,
            names=arguments.names,
            blocks=arguments.blocks,
            rows=arguments.rows,
            attacks=tuple(arguments.attack or ()),
            attack_s=arguments.seconds,
        )
        return SECTIONS[name](plan)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_sections,
        default=DEFAULT,
        help="get,put,...",
    )
    parser.add_argument("--size", type=_size, default="1GiB", help="file of get and put")
    parser.add_argument("--memory-size", type=_size, default="4GiB", help="file of memory")
    parser.add_argument("--rounds", type=int, default=5, help="runs of get and put; the median")
    parser.add_argument("--files", type=int, default=100_000, help="of tree, and puts of puts")
    parser.add_argument("--small-files", type=int, default=10_000, help="of small")
    parser.add_argument("--names", type=int, default=50_000, help="in one directory of tree")
    parser.add_argument("--blocks", type=int, default=1_000_000, help="of store")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of an index in store")
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--attack", action="append", help="of hostile: one alone, by name")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each attack")
    parser.add_argument("--dir", type=Path, help="where to work (default: the temporary directory)")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"), help="get, put here too")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    parser.add_argument("--chart", type=Path, help="draw benchmarks.png and .svg in this directory")
    parser.add_argument("--from", dest="rows_of", type=Path, help="draw the rows of this file")
    parser.add_argument("--readme", type=Path, help="write the rows of this file into README.md")
    return parser


def _sections(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
    return names


def _size(text: str) -> int:
    if not (found := re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text)):
        raise argparse.ArgumentTypeError("a size looks like 256MiB or 1GiB")
    return int(found[1]) * UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
