"""SIGKILL of whole `dhtstore` processes, an uploader and a holder, while one puts to the other.

python -m tests.crash.kill_nodes --rounds 20 --seed 1
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.cli.terminal import Daemon, Daemons, end

CAPACITY = "500MB"
SIZES_BYTES = (1_000, 3_000_000, 20_000_000)
KILLED_AFTER_S = (0.2, 1.5)


class Pair:
    """Two storage nodes; ``acknowledged`` are the puts that said that there are two copies."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._rng, self._directory = random.Random(seed), directory
        self.daemons = Daemons(directory)
        self._nodes = {"uploader": self.daemons("uploader", "--capacity", CAPACITY)}
        self._nodes["holder"] = self.daemons(
            "holder", "--capacity", CAPACITY, self._nodes["uploader"].ticket
        )
        self.acknowledged: dict[str, bytes] = {}

    def round(self) -> str:
        """Put, put again and kill one of them meanwhile, start it again; who it was."""
        victim = self._rng.choice(list(self._nodes))
        self._put(None)
        self._put(self._nodes[victim])
        (other,) = (node for name, node in self._nodes.items() if name != victim)
        self._nodes[victim] = self.daemons(victim, other.ticket)
        self._check(self._nodes[victim])
        return victim

    def _put(self, victim: Daemon | None) -> None:
        path, data = self._directory / "put", self._rng.randbytes(self._rng.choice(SIZES_BYTES))
        path.write_bytes(data)
        process = self._nodes["uploader"].start("put", path, "--replicas", "2")
        if victim is not None:
            time.sleep(self._rng.uniform(*KILLED_AFTER_S))  # some moment of it
            victim.kill()
        ran = end(process)
        assert ran.code == 0 or victim is not None, ran.err
        if ran.code == 0:
            self.acknowledged[ran.text.strip()] = data

    def _check(self, node: Daemon) -> None:
        """All that is kept is whole, and all that was acknowledged is kept."""
        verified = node.run("verify", "--json")
        assert verified.code == 0, verified.text + verified.err
        units = node.run("status", "--json").json["units"]
        assert units >= len(self.acknowledged), f"{units} of {len(self.acknowledged)} are kept"
        for cid, data in self.acknowledged.items():
            assert node.run("cat", cid).out == data, f"{cid} is not what was put"


def kill_nodes(seed: int, rounds: int) -> int:
    """How many puts were acknowledged; raises AssertionError for what was lost of them."""
    with tempfile.TemporaryDirectory(prefix="dhtstore-") as name:
        pair = Pair(Path(name), seed)
        try:
            for number in range(rounds):
                print(f"round {number}: killed the {pair.round()}", flush=True)
        finally:
            said = pair.daemons.end()
    assert "Traceback" not in said, said
    return len(pair.acknowledged)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill nodes, and look at what they kept.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    acknowledged = kill_nodes(chosen.seed, chosen.rounds)
    print(f"{chosen.rounds} nodes killed; nothing lost of {acknowledged} puts acknowledged")
    return 0


if __name__ == "__main__":
    sys.exit(main())
