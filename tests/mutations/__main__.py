"""``python -m tests.mutations [--only NAME...] [--jobs N]``: which checker catches which defect.

Exit code 0 if every run came to its end, the worlds without a defect are well and at most one
defect is not caught.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutations.planted import Outcome, Planted, caught_by, every


def _told(one: Planted, outcome: Outcome) -> str:
    if outcome.failed:
        return f"FAILED, {outcome}"
    return str(outcome) if one.caught(outcome) else f"NOT CAUGHT {outcome}".strip()


def exit_code(outcomes: Sequence[tuple[Planted, Outcome]], clean: Iterable[Outcome]) -> int:
    """``clean`` are those of the worlds without a defect."""
    missed = sum(not one.caught(outcome) for one, outcome in outcomes)
    failed = any(outcome.failed for _, outcome in outcomes)
    well = all(outcome.well for outcome in clean)
    return 0 if outcomes and missed <= 1 and not failed and well else 1


def main() -> int:
    command = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    command.add_argument("--only", nargs="+", help="names of defects")
    command.add_argument("--jobs", type=int, default=2)
    chosen = command.parse_args()
    planted = [one for one in every() if chosen.only is None or one.name in chosen.only]
    worlds = sorted({one.where for one in planted})
    with ThreadPoolExecutor(chosen.jobs) as threads:
        running = threads.map(lambda where: caught_by(None, where), worlds)
        caught = threads.map(lambda one: caught_by(one, one.where), planted)
        clean = list(running)
        outcomes = []
        for one, outcome in zip(planted, caught, strict=True):
            outcomes.append((one, outcome))
            print(f"{one.name:24} {_told(one, outcome):50} {one.plants}")
    for where, without in zip(worlds, clean, strict=True):
        if not without.well:
            print(f"found without a defect: {where}: {without}")
    return exit_code(outcomes, clean)


if __name__ == "__main__":
    sys.exit(main())
