"""The attacks one after the other, within a network namespace if ``--namespace`` says so; prints
the rows of the table as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

from benchmarks.hostile.arena import fight
from benchmarks.hostile.attacks import ALL_ATTACKS
from benchmarks.hostile.figures import rows_of
from benchmarks.hostile.origins import LOOPBACK, PUBLIC, Addresses, furnish


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.namespace:
        furnish()
    addresses = Addresses(PUBLIC if arguments.namespace else LOOPBACK)
    for attack in arguments.attack or ALL_ATTACKS:
        print(f"{attack} ...", file=sys.stderr)
        place = arguments.directory / attack
        place.mkdir()
        rows = rows_of(fight(attack, arguments.seconds, place, addresses))
        print(json.dumps([dataclasses.asdict(row) for row in rows]), flush=True)
        shutil.rmtree(place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--attack", action="append", choices=list(ALL_ATTACKS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--namespace", action="store_true")
    return parser


if __name__ == "__main__":
    main()
