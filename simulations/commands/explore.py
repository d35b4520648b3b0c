"""``explore``: a search for small worlds in which something fails."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from simulations.commands.common import Subparsers, new_folder, positive
from simulations.errors import INTERRUPTED, unwritable
from simulations.lab.many_runs import explore


def add(commands: Subparsers) -> None:
    command = commands.add_parser("explore", help="search small random worlds for failures")
    command.add_argument("--minutes", type=_minutes, default=1.0)
    command.add_argument("--seeds", type=positive, help="how many, instead of for how long")
    command.add_argument("--first-seed", type=int, default=1)
    command.add_argument("--out", type=new_folder, default=Path("runs/explore"))
    command.set_defaults(do=_explore)


def _minutes(spelled: str) -> float:
    minutes = float(spelled)
    if not minutes > 0:
        raise argparse.ArgumentTypeError(f"{spelled} is no time")
    return minutes


def _explore(chosen: argparse.Namespace) -> int:
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)  # not when hours have found something
    except OSError as error:
        raise unwritable(chosen.out, error) from error
    search = _SearchOfWorlds(chosen.first_seed)
    try:
        search.go_on(chosen.seeds, 60 * chosen.minutes, chosen.out)
    except KeyboardInterrupt:
        print(f"interrupted; --first-seed {search.seed} goes on")
        return INTERRUPTED
    finally:
        print(f"{search.done} worlds from seed {chosen.first_seed}, {search.found} failures")
    return 1 if search.found else 0


class _SearchOfWorlds:
    """``done`` worlds were tried and ``found`` failures; ``seed`` is the next."""

    def __init__(self, first_seed: int) -> None:
        self.seed = first_seed
        self.done = self.found = 0

    def go_on(self, seeds: int | None, lasting_s: float, out: Path) -> None:
        """For so many seeds or, without a number of them, for so long."""
        deadline = time.monotonic() + lasting_s
        while self.done < seeds if seeds else time.monotonic() < deadline:
            failure = explore.try_seed(self.seed)
            self.done, self.seed = self.done + 1, self.seed + 1
            if failure is not None:
                self.found += 1
                self._tell(failure, explore.keep(explore.shrink(failure), out))
            elif sys.stderr.isatty():
                told = f"{self.done} worlds, {self.found} failures"
                print(f"\r{told}", end="", file=sys.stderr, flush=True)

    def _tell(self, failure: explore.FailingWorld, folder: Path) -> None:
        replay = f"python -m simulations replay {folder}"
        print(f"seed {failure.seed}: {failure.what}\n  {replay}", flush=True)
