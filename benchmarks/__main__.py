"""``python -m benchmarks``: measure and print the table; exit 1 if a target is missed."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, machine, table
from benchmarks.sections import SECTIONS, Plan

DEFAULT = [name for name in SECTIONS if name != "slow-path"]  # which needs root
UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def main() -> int:
    arguments = _parser().parse_args()
    print(machine())
    rows: list[Row] = []
    try:
        for name in arguments.only:
            print(f"measuring {name} ...", file=sys.stderr)
            rows += _measured(name, arguments)
    finally:
        print(table(rows))
    return int(any(row.met is False for row in rows))


def _measured(name: str, arguments: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="dhtstore-bench-", dir=arguments.dir) as directory:
        plan = Plan(
            directory=Path(directory),
            size_bytes=arguments.size,
            memory_size_bytes=arguments.memory_size,
            rounds=arguments.rounds,
            idle_s=arguments.idle_seconds,
            files=arguments.files,
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
    parser.add_argument("--rounds", type=int, default=3, help="runs of get and put; the median")
    parser.add_argument("--files", type=int, default=100_000, help="of tree, and puts of puts")
    parser.add_argument("--names", type=int, default=50_000, help="in one directory of tree")
    parser.add_argument("--blocks", type=int, default=1_000_000, help="of store")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of an index in store")
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--attack", action="append", help="of hostile: one alone, by name")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each attack")
    parser.add_argument("--dir", type=Path, help="where to work (default: the temporary directory)")
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
