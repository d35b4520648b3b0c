"""``python -m tests.fuzz [--datagrams N] [--frames N] [--jobs N] [--seed N]``: millions of inputs.

Each piece is a run of its own that follows from its seed.  Exit code 0 if nothing raised, hung,
took long, was left behind or changed what strangers must not change.  ``--distil`` adds to the
corpus what says something new.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from simulations.seeds import derived_seed
from tests.fuzz.corpus import distil
from tests.fuzz.datagrams import fuzz_datagrams
from tests.fuzz.findings import Report
from tests.fuzz.frames import fuzz_frames

FUZZERS: Final = {"datagrams": fuzz_datagrams, "frames": fuzz_frames}
PIECES: Final = {"datagrams": 50_000, "frames": 10_000}
PIECE_MAX_S: Final = 240.0  # then it hangs: its process tells where, and ends
SHOWN_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """``count`` inputs of a kind, from a seed of their own."""

    kind: str
    count: int
    seed: int


def pieces(kind: str, count: int, seed: int) -> Iterator[Piece]:
    for number, at in enumerate(range(0, count, PIECES[kind])):
        own = derived_seed(seed, f"{kind} {number}") % 2**32
        yield Piece(kind, min(PIECES[kind], count - at), own)


def run(piece: Piece) -> tuple[Piece, Report, float]:
    """One piece, its report and the CPU seconds it took."""
    faulthandler.dump_traceback_later(PIECE_MAX_S, exit=True)
    began_s = time.process_time()
    report = FUZZERS[piece.kind](piece.count, piece.seed)
    faulthandler.cancel_dump_traceback_later()
    report.outcomes["peak KiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return piece, report, time.process_time() - began_s


def main() -> int:
    command = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    command.add_argument("--datagrams", type=int, default=20_000)
    command.add_argument("--frames", type=int, default=5_000)
    command.add_argument("--jobs", type=int, default=1)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--distil", type=int, metavar="N", help="try N inputs for the corpus")
    chosen = command.parse_args()
    if chosen.distil:
        print(f"{distil(chosen.distil, chosen.seed)} inputs in the corpus")
        return 0
    wanted = [
        *pieces("datagrams", chosen.datagrams, chosen.seed),
        *pieces("frames", chosen.frames, chosen.seed),
    ]
    totals = {kind: Report() for kind in FUZZERS}
    cpu_s, peak_kib = dict.fromkeys(FUZZERS, 0.0), 0
    with ProcessPoolExecutor(chosen.jobs) as workers:
        for piece, report, took_s in workers.map(run, wanted):
            peak_kib = max(peak_kib, report.outcomes.pop("peak KiB"))
            totals[piece.kind].add(report)
            cpu_s[piece.kind] += took_s
            for finding in report.findings[:SHOWN_MAX]:
                print(f"seed {piece.seed}, {piece.count} {piece.kind}: {finding}", flush=True)
    for kind, total in totals.items():
        print(f"{total.inputs} {kind}, {cpu_s[kind]:.0f} s of CPU, {len(total.findings)} findings, "
              f"slowest {total.slowest_s * 1000:.1f} ms")  # fmt: skip
        for outcome, times in sorted(total.outcomes.items()):
            print(f"  {times:>9} {outcome}")
    print(f"peak memory of a process {peak_kib // 1024} MiB")
    return 1 if any(total.findings for total in totals.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
