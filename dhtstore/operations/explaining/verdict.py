"""The verdict: one sentence that names the decisive cause, and what to do next that fits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dhtstore.config import counted, format_size
from dhtstore.operations.explaining.causes import CAUSES, CauseKind
from dhtstore.operations.explaining.report import HolderTimeline

# Whose cause decides where holders have several: first what lies with us, then whoever came
# closest to giving.
_ORDER: Final = (
    CauseKind.OWN_LIMIT,
    CauseKind.WRONG_BYTES,
    CauseKind.STALLED,
    CauseKind.TOO_SLOW,
    CauseKind.LOST,
    CauseKind.REFUSED,
    CauseKind.DIAL_TIMEOUT,
    CauseKind.DIAL_REFUSED,
    CauseKind.WRONG_NODE,
    CauseKind.NO_ADDRESS,
    CauseKind.BROKE_RULES,
    CauseKind.STALE,
)
_PHRASES: Final = {
    CauseKind.OWN_LIMIT: "could not be dialled: too many connections here",
    CauseKind.WRONG_BYTES: "sent wrong bytes",
    CauseKind.STALLED: "stalled",
    CauseKind.TOO_SLOW: "too slow",
    CauseKind.LOST: "broke off",
    CauseKind.REFUSED: "refused",
    CauseKind.DIAL_TIMEOUT: "did not answer",
    CauseKind.DIAL_REFUSED: "refused the connection",
    CauseKind.WRONG_NODE: "not there: another node answers",
    CauseKind.NO_ADDRESS: "told no address",
    CauseKind.BROKE_RULES: "broke the protocol",
    CauseKind.STALE: "without the blocks now",
}
_AT_AN_ADDRESS: Final = (CauseKind.DIAL_TIMEOUT, CauseKind.DIAL_REFUSED, CauseKind.WRONG_NODE)
_IN_THE_MIDDLE: Final = (
    CauseKind.STALLED, CauseKind.TOO_SLOW, CauseKind.LOST, CauseKind.WRONG_BYTES
)  # fmt: skip


def decisive(holders: Sequence[HolderTimeline]) -> CauseKind | None:
    """The kind that decided that these gave not what was wanted."""
    kinds = {each.cause.kind for each in holders if each.cause}
    return next((kind for kind in _ORDER if kind in kinds), None)


def verdict(holders: Sequence[HolderTimeline], count: int) -> str:
    """What became of the ``count`` nodes that say they hold it, of which these are known best."""
    told = [_phrase(kind, group) for kind in _ORDER if (group := _of(kind, holders))]
    rest = count - sum(1 for each in holders if each.cause)
    told += [f"{rest} gave nothing"] if rest > 0 else []
    says = "1 node says it holds it" if count == 1 else f"{count} nodes say they hold it"
    return f"{says}: {', '.join(told)}" if told else says


def advice(kind: CauseKind, holders: Sequence[HolderTimeline] = ()) -> str:
    """What to do about it; where a node can be tried, which."""
    node = next((each.node for each in _of(kind, holders)), "NODE")
    return CAUSES[kind].advice.replace("NODE", node)


def _of(kind: CauseKind, holders: Sequence[HolderTimeline]) -> list[HolderTimeline]:
    return [each for each in holders if each.cause and each.cause.kind is kind]


def _phrase(kind: CauseKind, group: Sequence[HolderTimeline]) -> str:
    phrase = f"{len(group)} {_PHRASES[kind]}"
    first = group[0]
    if kind is CauseKind.REFUSED and first.cause:
        return f"{phrase} ({first.cause.why})"
    if kind in _AT_AN_ADDRESS and first.tries:
        last = first.tries[-1].address
        return f"{phrase} at {last}{_others(len({each.address for each in first.tries}))}"
    if kind in _IN_THE_MIDDLE and (gave_bytes := sum(each.delivered_bytes for each in group)):
        return f"{phrase} after {format_size(gave_bytes)}"
    return phrase


def _others(addresses: int) -> str:
    return f" ({counted(addresses, 'address', 'addresses')} tried)" if addresses > 1 else ""
