"""A run's own measures beside what its scenario asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulations.sections.asked import Bound


def judge_asked(
    asked: Mapping[str, Bound], measures: Mapping[str, Any], *, ended: bool
) -> dict[str, Any]:
    """``measures`` as in a summary, each without a label or the worst of its labels: how many
    ``hold``, what is ``violated``, a line each, and what is ``not_judged``, with the reason."""
    found: dict[str, Any] = {"hold": 0, "violated": [], "not_judged": {}}
    for name, bound in asked.items():
        values = list(measures.get(name, {"values": {}})["values"].values())
        if not ended:
            found["not_judged"][name] = "the run did not come to its end"
        elif not values:
            found["not_judged"][name] = "nothing of that name was measured"
        elif wrong := [value for value in values if not bound.holds(value)]:
            worst = max(wrong) if bound.is_most else min(wrong)
            found["violated"].append(f"{name} is {worst:.4g}, asked is {bound.written}")
        else:
            found["hold"] += 1
    return found
