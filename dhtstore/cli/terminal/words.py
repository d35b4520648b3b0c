"""How safe something is, in the words of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.config import counted, format_duration, format_size
from dhtstore.params import RECORD_FUTURE_SKEW_MAX_S, REPAIR_SLACK_DIVISOR

_WORTH_TELLING_S = 3600.0  # of watching, below which nothing was measured
_A_MOMENT_S = 1.0
_OWNER_CHARS = 8  # of a key that people tell from others

if TYPE_CHECKING:
    from dhtstore.operations.keeping import PutSummary
    from dhtstore.operations.moment import Moment
    from dhtstore.operations.nodes import OwnerWants, RootStatus
    from dhtstore.operations.safety import CopiesStatus, HoldersSeen, UnitCare, WeakObject


def safety_text(put: PutSummary, now_unix_s: float) -> str:
    """In one line, without the name."""
    match put.state:
        case "safe":
            return f"safe, {_copies(put)}, last proved {ago(put.proved, now_unix_s)}"
        case "believed":
            asks = "`dhtstore list --check` asks the holders"
            return f"{_copies(put)}, last proved {ago(put.proved, now_unix_s)}: {asks}"
        case "shared":
            return f"{_shared(put)}, last proved {ago(put.proved, now_unix_s)}"
        case "silent":
            return f"{put.live} of {put.replicas}, {_silence(put, now_unix_s)}"
        case "short":
            return f"{put.copies} of {put.replicas}: {_ends(put, now_unix_s) or _short(put)}"
        case "none":
            return f"0 of {put.replicas}: no copy is known, put it again"
        case "expired":
            return f"wanted until {ago(put.expires, now_unix_s)}, its holders free it"
    return f"{put.copies} of {put.replicas}"


def _copies(put: PutSummary) -> str:
    copies = counted(put.copies, "copy", "copies")
    return f"{copies} on {counted(put.networks, 'network')}" if put.networks else copies


def _shared(put: PutSummary) -> str:
    all_ = counted(put.live + put.others, "copy", "copies")
    whose = "another owner" if put.others == 1 else "other owners"
    return f"{all_}, {put.others} of them just made, or kept for {whose}"


def _short(put: PutSummary) -> str:
    does = "`dhtstore repair` on one of them, or putting it again, does it now"
    if put.due or put.copies < put.replicas - put.replicas // REPAIR_SLACK_DIVISOR:
        return f"its holders repair it by themselves, if others take it; {does}"
    return f"{_spared(put)}; {does}"


def _spared(put: PutSummary) -> str:
    spared = put.replicas // REPAIR_SLACK_DIVISOR
    missing = "one that is missing" if spared == 1 else f"up to {spared} that are missing"
    return f"of so many, {missing} may wait for the next"


def _silence(put: PutSummary, now_unix_s: float) -> str:
    silent = put.copies - put.live
    who = "a holder has" if silent <= 1 else f"{silent} holders have"
    text = f"{who} been silent for {lasting(put.silent, now_unix_s)}"
    if ends := _ends(put, now_unix_s):
        return f"{text}, {ends}"
    if put.due is None and put.live >= put.replicas - put.replicas // REPAIR_SLACK_DIVISOR:
        return f"{text}: {_spared(put)}"
    return f"{text}, {repair_text(put.due, now_unix_s)}"


def _ends(put: PutSummary, now_unix_s: float) -> str:
    """Where nobody repairs it any more, since to holders whose clocks are ahead it has ended."""
    if put.expires is None or put.expires.unix_s - now_unix_s > RECORD_FUTURE_SKEW_MAX_S:
        return ""
    return f"it ends in {_until(put.expires, now_unix_s)}, so no copy is made any more"


def repair_text(due: Moment | None, now_unix_s: float) -> str:
    """When a copy is made again."""
    if due is None or due.unix_s - now_unix_s < _A_MOMENT_S:
        return "repair is due, `dhtstore repair` does it now"
    return f"repair starts in {_until(due, now_unix_s)} or now with `dhtstore repair`"


def ago(moment: Moment | None, now_unix_s: float) -> str:
    """``20 minutes ago``; "never" for None."""
    if moment is None:
        return "never"
    lately = now_unix_s - moment.unix_s < _A_MOMENT_S
    return "just now" if lately else f"{lasting(moment, now_unix_s)} ago"


def lasting(moment: Moment | None, now_unix_s: float) -> str:
    """How long ago that is; nothing is ahead of now, whatever a clock says."""
    return format_duration(max(_A_MOMENT_S, now_unix_s - moment.unix_s if moment else 0.0))


def _until(moment: Moment, now_unix_s: float) -> str:
    return format_duration(max(_A_MOMENT_S, moment.unix_s - now_unix_s))


def odds_text(probability: float) -> str:
    """Of a loss within a year: ``1 in 12,000``, ``4 %``."""
    if probability >= 0.01:
        return f"{probability * 100:.0f} %"
    if probability < 1e-9:
        return "less than 1 in 1,000,000,000"
    one_in = 1 / probability
    digits = 10 ** max(0, len(str(int(one_in))) - 2)
    return f"1 in {round(one_in / digits) * digits:,.0f}"


def seen_text(seen: HoldersSeen) -> str:
    """What an estimate is made of."""
    watched = format_duration(seen.watched_s)
    if seen.measured:
        gone = counted(seen.gone, "holder was", "holders were")
        return f"measured: {gone} lost for good in {watched} of watching one"
    lost = {0: "none was", 1: "1 was"}.get(seen.gone, f"{seen.gone} were")
    so_far = f"so far holders were watched for {watched} in sum, {lost} lost"
    so_far = so_far if seen.watched_s >= _WORTH_TELLING_S else "nothing was measured yet"
    return f"by the assumption that a holder lasts a year; {so_far}"


def root_lines(told: RootStatus, now_unix_s: float) -> list[str]:
    """What is said of a root above the table of its holders."""
    lines: list[str] = []
    cared = [each.care for each in told.units if each.care is not None]
    if told.put is not None:
        idle = bool(cared) and all(map(_is_idle, cared))
        unreached = any(held.state == "silent" for each in told.units for held in each.holders)
        safety = _unproved(told.put) if idle and not unreached else ""
        safety = safety or safety_text(told.put, now_unix_s)
        lines.append(f"{told.put.name or told.cid}: {safety}")
    else:
        held = any(each.care for each in told.units)
        lines.append(f"{told.cid}: not put from here{', held for its owner' if held else ''}")
    if len(told.owners) > 1:
        lines.append(_owners(told))
    if told.lost_per_year is not None and told.seen is not None:
        lines.append(
            f"lost within a year: {odds_text(told.lost_per_year)} ({seen_text(told.seen)})"
        )
    lines += [_care(each, now_unix_s) for each in cared[:1]]
    lines += _time_left(told.put, now_unix_s, cared=bool(cared), checked=told.checked)
    return lines


def _time_left(
    put: PutSummary | None, now_unix_s: float, *, cared: bool, checked: bool
) -> list[str]:
    """How long it is wanted yet, or why nobody here watches it; of what has ended nothing."""
    if put is not None and put.state == "expired":
        return []
    if put is not None and not cared and (ends := _ends(put, now_unix_s)):
        return [f"{ends}: `dhtstore policy {put.name or put.cid} --ttl T` gives it more time"]
    if not cared:
        return [_ASKED if checked else _UNWATCHED]
    if put is None or put.expires is None:
        return []
    return [f"expires in {_until(put.expires, now_unix_s)}"]


_WATCHES_NOBODY = "this node holds no copy, so it watches no holder"
_UNWATCHED = (
    f"{_WATCHES_NOBODY} and cannot know who died or repaired since: --check asks the holders"
)
_ASKED = f"{_WATCHES_NOBODY}: this is what they answered just now"


def _unproved(put: PutSummary) -> str:
    """Where there are enough by the word of others, and so nobody repairs."""
    if put.state != "short" or put.copies >= put.replicas - put.replicas // REPAIR_SLACK_DIVISOR:
        return ""
    return f"{put.copies} of {put.replicas} signed for it; others say that they hold it, too"


def _owners(told: RootStatus) -> str:
    """What each of several wants."""
    first, *others = told.owners
    texts = [f"wanted: {counted(first.replicas, 'copy', 'copies')} by {_owner(first, told.cid)}"]
    texts += [f"{each.replicas} by {_owner(each, told.cid)}" for each in others]
    return ", ".join(texts)


def _owner(wants: OwnerWants, cid: str) -> str:
    whose = "this owner" if wants.own else wants.owner[:_OWNER_CHARS]
    return whose if wants.root == cid else f"{whose} (as part of {wants.root})"


def _is_idle(care: UnitCare) -> bool:
    return care.act == "nothing" and not care.due


def _care(care: UnitCare, now_unix_s: float) -> str:
    due = f", {repair_text(care.due, now_unix_s)}" if care.due else ""
    repair = f"nothing to repair ({care.why})" if _is_idle(care) else f"{care.why}{due}"
    if care.audit is None:
        return f"next: {repair}"
    late = care.audit.unix_s - now_unix_s < _A_MOMENT_S
    audit = "an audit is due" if late else f"an audit in {_until(care.audit, now_unix_s)}"
    return f"next: {audit}; {repair}"


def weak_lines(told: CopiesStatus, now_unix_s: float) -> list[str]:
    """What `status` says of copies, one thing a line."""
    lines: list[str] = []
    if told.short:
        units = counted(told.short, "unit has", "units have")
        lines.append(f"{units} fewer copies than wanted, {format_size(told.short_bytes)} to send")
    for why, waiting in told.waiting.items():
        lines.append(f"{waiting} of them {'waits' if waiting == 1 else 'wait'} {why}")
    if told.weakest:
        lines.append(f"the most endangered of what is held here ({seen_text(told.seen)}):")
    return lines + [_weak(each, now_unix_s) for each in told.weakest]


def _weak(each: WeakObject, now_unix_s: float) -> str:
    name = each.name or each.root
    due = f", {repair_text(each.due, now_unix_s)}" if each.due else ""
    odds = odds_text(each.lost_per_year)
    return f"  {name}: {each.live} of {each.replicas}, lost within a year: {odds}{due}"
