"""Start libtorrent peers and read their figures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import first_line

PEER = (sys.executable, "-m", "benchmarks.torrent_peer")
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Seeder:
    torrent: Path
    port: int

    def leech_s(self, directory: Path) -> float:
        """Seconds a fresh leecher process takes from adding the torrent to the last piece."""
        command = [*PEER, "leech", str(self.torrent), str(self.port), str(directory)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, timeout=TIMEOUT_S
        )
        return float(done.stdout)


@contextmanager
def seeding(source: Path, torrent: Path) -> Iterator[Seeder]:
    """A process that seeds ``source``; hashing it is not part of any figure."""
    command = [*PEER, "seed", str(source), str(torrent)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Seeder(torrent, int(first_line(process, TIMEOUT_S)))
        finally:
            process.kill()
