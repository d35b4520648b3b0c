"""Which holders a report tells of, where there are more than anybody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from dhtstore.node.telling.account import HolderAccount
from dhtstore.operations.explaining.report import HOLDERS_TOLD_MAX

_OF_AN_ORIGIN_MAX: Final = 8  # with one thing wrong, while others wait


def most_telling(
    accounts: Sequence[HolderAccount],
) -> tuple[list[HolderAccount], dict[str, int]]:
    """At most HOLDERS_TOLD_MAX of them, and how many others, by what went wrong with them.

    Each thing that went wrong has its turn, so that a thousand dead hide neither who gave nor who
    lied; of one thing, first who gave most, and few of one origin before those of others.
    """
    if len(accounts) <= HOLDERS_TOLD_MAX:
        return sorted(accounts, key=_weight), {}
    groups: dict[str, list[HolderAccount]] = {}
    for account in sorted(accounts, key=_weight):
        groups.setdefault(account.kind or "", []).append(account)
    queues = [_spread(group) for group in groups.values()]
    told: list[HolderAccount] = []
    while len(told) < HOLDERS_TOLD_MAX and queues:
        told += [queue.pop(0) for queue in queues]
        queues = [queue for queue in queues if queue]
    told = told[:HOLDERS_TOLD_MAX]
    left = Counter(account.kind or "" for account in accounts)
    left.subtract(account.kind or "" for account in told)
    return sorted(told, key=_weight), {kind: count for kind, count in left.items() if count}


def _weight(account: HolderAccount) -> tuple[int, int]:
    """Those that gave come first, most first; then those that were asked."""
    return -account.delivered_bytes, -account.asked


def _spread(group: Sequence[HolderAccount]) -> list[HolderAccount]:
    """Those of an origin beyond its share last."""
    seen: Counter[str] = Counter()
    within: list[HolderAccount] = []
    beyond: list[HolderAccount] = []
    for account in group:
        seen[account.origin] += 1
        (within if seen[account.origin] <= _OF_AN_ORIGIN_MAX else beyond).append(account)
    return [*within, *beyond]
