"""Where two runs differ: in their settings, then in their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulations.results.run_data import RunData

_SETTINGS = "scenario"
_NOT_COMPARED = (
    "wall_s", "messages_per_wall_s", "cpu_s", "cpu_us_per_message", "rss_bytes", "begin_cpu_s",
    "begin_rss_bytes", "git_sha", "version", "python", "run_sha256", "code_sha256",
)  # fmt: skip


def compare(one: RunData, other: RunData) -> list[str]:
    """Where scenarios, then summaries differ, a line each; empty for two runs of one world."""
    a, b = (flat({_SETTINGS: run.scenario, **run.summary}) for run in (one, other))
    return [
        f"{key}: {_shown(a.get(key))} | {_shown(b.get(key))}{_change(a, b, key)}"
        for key in sorted(
            a.keys() | b.keys(), key=lambda key: (key.split(".")[0] != _SETTINGS, key)
        )
        if a.get(key) != b.get(key) and key.split(".")[0] not in _NOT_COMPARED
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within tables as one, with dots in the keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _shown(value: object) -> str:
    return format(value, ".6g") if isinstance(value, float) else str(value)


def _change(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> str:
    x, y = a.get(key), b.get(key)
    numbers = isinstance(x, int | float) and isinstance(y, int | float)
    return f" ({100 * (y - x) / abs(x):+.1f} %)" if numbers and x else ""
