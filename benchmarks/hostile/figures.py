"""The required figures (issue 9), and the rows of one attack beside them."""

from __future__ import annotations

from typing import Final

from benchmarks.hostile.outcome import Outcome
from benchmarks.report import Row, at_least, at_most

SUCCESS_PERCENT: Final = 99.0
SLOWNESS_X: Final = 3.0
MEMORY_MB: Final = 150.0
STALL_MS: Final = 50.0
RECOVERY_S: Final = 30.0
STORE_SLACK_MB: Final = 4.0  # the index's own pages, beside what claims account for


def rows_of(outcome: Outcome) -> list[Row]:
    """All figures of one attack, each with its target."""
    name = outcome.attack
    gone, kept = outcome.unexplained_bytes / 1e6, outcome.claims[1] / 1e6
    share = outcome.share_bytes / 1e6
    return [
        at_least(
            f"{name}: honest commands that succeed", outcome.success_percent, SUCCESS_PERCENT, "%"
        ),
        at_most(f"{name}: honest put, of quiet", outcome.slowness("put"), SLOWNESS_X, "x"),
        at_most(f"{name}: honest get, of quiet", outcome.slowness("get"), SLOWNESS_X, "x"),
        at_most(f"{name}: bytes that last without a claim", gone, STORE_SLACK_MB, "MB"),
        at_most(f"{name}: bytes that last for strangers' claims", kept, share, "MB"),
        at_most(f"{name}: memory above idle", outcome.memory_bytes / 1e6, MEMORY_MB, "MB"),
        at_most(f"{name}: longest stall of the loop", outcome.stall_ms, STALL_MS, "ms"),
        at_most(f"{name}: recovery", outcome.recovery_s, RECOVERY_S, "s"),
        Row(f"{name}: beside", _beside(outcome)),
    ]


def _beside(outcome: Outcome) -> str:
    return (
        f"{len(outcome.during)} commands; quiet: {outcome.quiet_memory_bytes / 1e6:.0f} MB, "
        f"{outcome.quiet_stall_ms:.0f} ms; strangers: {outcome.attacker_cores:.2f} cores"
    )
