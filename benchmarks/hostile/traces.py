"""What an attack leaves on a node: memory, stalls of its loop, bytes on its disk."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from dhtstore.config import parse_size
from dhtstore.params import NEWCOMERS_DIVISOR
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.sqlite import SqliteKeyValue

KIB = 1024
FORGET_PEAK = "5"  # proc(5), clear_refs


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process."""

    pid: int

    @property
    def now_bytes(self) -> int:
        return self._row("VmRSS:")

    @property
    def peak_bytes(self) -> int:
        return self._row("VmHWM:")

    def forget_peak(self) -> None:
        """The peak begins anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text(FORGET_PEAK)

    def _row(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        row = next(line for line in status.splitlines() if line.startswith(name))
        return int(row.split()[1]) * KIB


def worst_stall_ms(notes: Path, from_s: float, until_s: float) -> float:
    """The longest of those that ``watched`` has noted between two times."""
    rows = [line.split() for line in notes.read_text().splitlines()]
    late = [
        float(ms)
        for at_s, ms in (row for row in rows if len(row) == 2)
        if from_s <= float(at_s) <= until_s
    ]
    return max(late, default=0.0)


def stored_bytes(home: Path) -> int:
    """What the files of a node's store take, its index included."""
    files = [path for path in (home / "blocks").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def share_bytes(home: Path) -> int:
    """What strangers that are new at a node may take together."""
    config = tomllib.loads((home / "config.toml").read_text())
    return parse_size(str(config["capacity"])) // NEWCOMERS_DIVISOR


def claimed_bytes(home: Path, owner: bytes) -> tuple[int, int]:
    """What claims keep in the store of a node that has stopped: of ``owner``, and of others."""
    table = SqliteKeyValue(home / "ledger.sqlite")
    try:
        claims = list(Claims(table).units_kept(time.time()))
    finally:
        table.close()
    own = sum(claim.stored_bytes for claim in claims if claim.policy.owner == owner)
    return own, sum(claim.stored_bytes for claim in claims) - own
