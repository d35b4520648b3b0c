"""Keys of seeds that were given as HOST:PORT are shown at the first meeting."""

from __future__ import annotations

import sys

from dhtstore.model.identity import PublicKey


def show_seed(seed: str, key: PublicKey) -> None:
    """Told by whoever pins it."""
    print(f"seed {seed} has key {key.hex()}; pinned from now on", file=sys.stderr)
