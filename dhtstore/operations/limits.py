"""The operation on the limits of a node that runs."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dhtstore.operations.operation import Operation


class LimitsInForce(msgspec.Struct, frozen=True):
    """``limit_up`` and ``limit_down`` as they are set; ``up_now`` and ``down_now`` what that is at
    this time of the week, in bytes a second, None for no limit."""

    limit_up: str
    limit_down: str
    up_now: int | None
    down_now: int | None


class SetLimits(Operation[LimitsInForce], frozen=True, kw_only=True):
    """Bound what leaves and what comes from now on until the node ends, as the settings of these
    names are written; None leaves one as it is."""

    op: ClassVar[str] = "set-limits"
    limit_up: str | None = None
    limit_down: str | None = None
