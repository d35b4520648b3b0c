"""What came of an attack, for the summary of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from dhtstore.params import K
from simulations.events.adversary.attack import Attack
from simulations.results.rows import OperationRow


def outcome(
    attack: Attack, rows: Iterable[OperationRow], copies: Sequence[int], forgeries_refused: int
) -> dict[str, Any]:
    """Operations count that began when the attack had; ``began_s`` is None if it never did.
    ``copies``: of each acknowledged object, those on honest nodes; ``forgeries_refused``: how often
    honest nodes found a signature wrong."""
    gang, began_s = attack.gang, attack.began_s
    since = [row for row in rows if row.start_s >= began_s]
    lookups = [row for row in since if row.queries]
    gets = [row.ok for row in since if row.kind == "get" and row.object == attack.target]
    return {
        "began_s": began_s if began_s < math.inf else None,
        "adversaries": dict(sorted(Counter(mask.behaviour for mask in attack.masks).items())),
        "acts": dict(sorted(gang.acts.items())),
        "records_refused": dict(sorted(gang.refused.items())),
        "signatures_refused": forgeries_refused,
        "measures": {
            **_eclipse([row.adversaries for row in lookups]),
            **({"target_get_share": fmean(gets)} if gets else {}),
            **_copies(copies),
        },
    }


def _eclipse(found: Sequence[int]) -> dict[str, float]:
    """Of lookups: how much of the closest that they found is adversaries, how many found any, and
    how many found nobody else."""
    if not found:
        return {}
    return {
        "closest_adversary_share": fmean(min(one, K) / K for one in found),
        "touched_share": sum(one > 0 for one in found) / len(found),
        "eclipsed_share": sum(one >= K for one in found) / len(found),
    }


def _copies(copies: Sequence[int]) -> dict[str, float]:
    """Copies of acknowledged objects on honest nodes at the end."""
    if not copies:
        return {}
    return {
        "honest_copies_mean": fmean(copies),
        "without_honest_copy_share": sum(not one for one in copies) / len(copies),
    }
