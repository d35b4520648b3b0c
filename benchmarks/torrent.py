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
class Leeched:
    """``whole_s`` from adding the torrent, ``connected_s`` from the first byte received."""

    whole_s: float
    connected_s: float


@dataclass(frozen=True, slots=True)
class Seeder:
    torrent: Path
    port: int

    def leech(self, directory: Path) -> Leeched:
        """Let a fresh leecher process fetch the file into ``directory``."""
        command = [*PEER, "leech", str(self.torrent), str(self.port), str(directory)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, timeout=TIMEOUT_S
        )
        whole, connected = done.stdout.split()
        return Leeched(float(whole), float(connected))


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
