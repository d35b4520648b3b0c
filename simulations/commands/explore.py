"""``explore``: a search for small worlds in which something fails."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from simulations.commands.common import Subparsers, positive
from simulations.lab.many_runs import explore


def add(commands: Subparsers) -> None:
    command = commands.add_parser("explore", help="search small random worlds for failures")
    command.add_argument("--minutes", type=float, default=1.0)
    command.add_argument("--seeds", type=positive, help="how many, instead of for how long")
    command.add_argument("--first-seed", type=int, default=1)
    command.add_argument("--out", type=Path, default=Path("runs/explore"))
    command.set_defaults(do=_explore)


def _explore(chosen: argparse.Namespace) -> int:
    deadline = time.monotonic() + 60 * chosen.minutes
    found = done = 0
    seed = chosen.first_seed
    while done < chosen.seeds if chosen.seeds else time.monotonic() < deadline:
        failure = explore.try_seed(seed)
        done, seed = done + 1, seed + 1
        if failure is not None:
            found += 1
            folder = explore.keep(explore.shrink(failure), chosen.out)
            print(f"seed {failure.seed}: {failure.what}\n  python -m simulations replay {folder}")
        elif sys.stderr.isatty():
            print(f"\r{done} worlds, {found} failures", end="", file=sys.stderr, flush=True)
    print(f"{done} worlds from seed {chosen.first_seed}, {found} failures")
    return 1 if found else 0
