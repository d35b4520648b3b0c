"""The futures of one world: what decides them, and what they may change.

What a branch may change is what has no effect before the world has begun; hence a branch gives,
byte for byte, the trace of a run of its own scenario from the start.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from simulations.errors import ScenarioError
from simulations.scenario import Scenario
from simulations.seeds import derived_seed

_EVERYTHING: Final = ("*",)
_LATER: Final = {
    "run": ("duration_s", "settle_s", "burn_in", "sample_every", "check_every", "future"),
    "churn": ("leave", "keep_data"),
    "workload": _EVERYTHING,
    "faults": _EVERYTHING,
}
# Making a warm world sends nothing; nodes that join suffer from the network as it is.
_LATER_IF_WARM: Final = (
    "loss",
    "loss_burst_s",
    "loss_in_burst",
    "jitter",
    "duplicate",
    "reorder",
    "mtu_bytes",
)


def seed_of_future(seed: int, future: int) -> int:
    """What decides everything after the start; future 0 is the seed's own."""
    return derived_seed(seed, f"future/{future}") if future else seed


def check_branch(world: Scenario, branch: Scenario) -> None:
    """Raise ScenarioError, naming the key, unless both begin with the same world."""
    if world.disk.kind == "real":
        raise ScenarioError("disk.kind: files cannot be branched, as a process can; use a sweep")
    for name in ("run", "network", "churn", "workload", "faults", "adversary", "disk"):
        _check(world, name, name, getattr(world, name), getattr(branch, name))
    for one, other in zip(world.groups, branch.groups, strict=True):
        _check(world, f"group.{one.name}", "", one.own, other.own)
        for name in ("run", "network", "churn"):
            _check(world, f"group.{one.name}", name, getattr(one, name), getattr(other, name))


def _check(world: Scenario, told: str, section: str, one: Any, other: Any) -> None:
    for field in dataclasses.fields(one):
        differs = getattr(one, field.name) != getattr(other, field.name)
        if differs and not _may_differ(world, section, field.name):
            raise ScenarioError(f"{told}.{field.name} shapes the beginning: it cannot vary")


def _may_differ(world: Scenario, section: str, key: str) -> bool:
    if section == "network":
        silent = world.run.warm_start and not world.run.warm_lookups
        return silent and key in _LATER_IF_WARM
    allowed = _LATER.get(section, ())
    return allowed is _EVERYTHING or key in allowed
