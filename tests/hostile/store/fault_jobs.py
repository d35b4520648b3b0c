"""All jobs whose system calls fail, each in a fork of this process, which has loaded everything;
started with ``system_calls.c`` in LD_PRELOAD.  Prints, as JSON, what each had to say.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import shutil
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from tests.hostile.store import fault_child, fault_files_child

MODULES: Final = {"blocks": fault_child, "files": fault_files_child}
JOBS: Final = [(kind, name) for kind, module in MODULES.items() for name in module.NAMES]
LASTS: Final = (0, 1)
AT_ONCE: Final = 2


def said(kind: str, name: str, lasts: int, where: str) -> list[str]:
    """The lines of one job; the last is how many failures were tried, if it came to its end."""
    directory = Path(where) / f"{kind}-{name}-{lasts}".replace(" ", "-")
    directory.mkdir()
    lines = io.StringIO()
    with redirect_stdout(lines):
        try:
            fault_child.LASTS[0] = lasts
            MODULES[kind].run_job(name, directory)
            print("tried", fault_child.TRIED[0])
        except Exception:
            traceback.print_exc(file=sys.stdout)
    shutil.rmtree(directory)
    return lines.getvalue().splitlines()


def main(where: str) -> None:
    """Those that take longest come first."""
    jobs = [(kind, name, lasts, where) for kind, name in JOBS for lasts in LASTS]
    jobs.sort(key=lambda job: job[1] != "reopen")
    forks = multiprocessing.get_context("fork")
    with forks.Pool(min(AT_ONCE, os.cpu_count() or 1), maxtasksperchild=1) as pool:
        answers = pool.starmap(said, jobs, chunksize=1)
    told = [
        (kind, name, lasts, lines)
        for (kind, name, lasts, _), lines in zip(jobs, answers, strict=True)
    ]
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
