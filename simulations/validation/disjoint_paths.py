"""Lookups over disjoint paths among colluders, beside the closed form of S/Kademlia."""

from __future__ import annotations

import random

from simulations.validation.findings import Finding
from simulations.validation.path_model import PathModel
from simulations.validation.theory import disjoint_success

MALICIOUS, PATHS = 0.2, (1, 2, 4, 8)
_CLOSED, _OFF = "S/Kademlia, closed form", 0.04
_AIM = 0.97  # on the most paths


def validate(nodes: int, lookups: int, seed: int) -> list[Finding]:
    """With one request in flight on each path to begin with, which is what the closed form counts;
    then as in production: ALPHA on all paths together, and one on each at least.  Both may be
    better, since a path asks all of the closest at once when it knows them."""
    model = PathModel(random.Random(seed), nodes, MALICIOUS)
    hops = model.hops(lookups)
    found = list[Finding]()
    for paths in PATHS:
        expected = disjoint_success(hops, MALICIOUS, paths)
        share = model.success(paths, lookups, alpha=paths)[0] / lookups
        name = f"one request a path, d = {paths}"
        found.append(Finding(name, share, expected, _CLOSED, low=expected - _OFF))
        ours, asked = model.success(paths, lookups)
        least = _AIM if paths == max(PATHS) else expected - _OFF
        name = f"as in production, d = {paths}"
        found.append(Finding(name, ours / lookups, expected, _CLOSED, low=least))
        found.append(Finding(f"nodes that it asks, d = {paths}", asked, asked, "-"))
    return found
