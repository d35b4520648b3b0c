"""The section ``hostile`` of the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.hostile.origins import UNSHARE, can_unshare
from benchmarks.report import Row

NICENESS: Final = 19  # strangers have machines of their own: theirs must not starve this one


def attacked(directory: Path, attacks: Sequence[str], seconds: float) -> list[Row]:
    """The rows of ``attacks`` (all if none are named), ``seconds`` each."""
    apart = can_unshare()
    command = [*(UNSHARE if apart else ()), sys.executable, "-m", "benchmarks.hostile"]
    command += ["--directory", str(directory), "--seconds", f"{seconds:g}"]
    command += ["--namespace"] if apart else []
    for attack in attacks:
        command += ["--attack", attack]
    rows = [Row("strangers' addresses", "public, a /24 each" if apart else "loopback: no shares")]
    rows.append(Row("strangers' processes", f"one, nice {NICENESS}"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            rows += [Row(**row) for row in json.loads(line)]
    if process.returncode:
        rows.append(Row("hostile", f"ended with exit {process.returncode}", "all attacks", False))
    return rows
