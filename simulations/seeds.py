"""One seed for a run, and one derived from it for each part that draws at random."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, label: str) -> int:
    """An independent 256-bit seed for one component: SHA-256 of the root seed and its label."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{label}".encode()).digest(), "big")
