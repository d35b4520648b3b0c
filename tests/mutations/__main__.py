"""``python -m tests.mutations [--only NAME...] [--jobs N]``: which checker catches which defect.

Exit code 0 if the worlds without a defect are well and at most one defect is not caught.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.mutations.planted import Planted, caught_by, every


def _told(one: Planted, found: list[str]) -> str:
    return ", ".join(found if one.caught(found) else ["NOT CAUGHT", *found])


def main() -> int:
    command = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    command.add_argument("--only", nargs="+", help="names of defects")
    command.add_argument("--jobs", type=int, default=2)
    chosen = command.parse_args()
    planted = [one for one in every() if chosen.only is None or one.name in chosen.only]
    worlds = sorted({one.where for one in planted})
    with ThreadPoolExecutor(chosen.jobs) as threads:
        clean = threads.map(lambda where: caught_by(None, where), worlds)
        caught = threads.map(lambda one: caught_by(one, one.where), planted)
        false = [f"{where}: {', '.join(found)}" for where, found in
                 zip(worlds, clean, strict=True) if found]  # fmt: skip
        missed = 0
        for one, found in zip(planted, caught, strict=True):
            missed += not one.caught(found)
            print(f"{one.name:24} {_told(one, found):50} {one.plants}")
    for line in false:
        print(f"found without a defect: {line}")
    return 0 if planted and missed <= 1 and not false else 1


if __name__ == "__main__":
    sys.exit(main())
