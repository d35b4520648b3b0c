"""A report about thousands of holders stays small, tells of each trouble, and of each origin."""

from __future__ import annotations

import msgspec

from dhtstore.cli.explaining.timelines import WIDTH, lines_of
from dhtstore.model.contact import Address
from dhtstore.node.links.tries import Try
from dhtstore.node.telling.account import HolderAccount
from dhtstore.node.telling.choosing import most_telling
from dhtstore.operations.explaining.causes import TOLD_MAX_CHARS, Cause, CauseKind, clean
from dhtstore.operations.explaining.report import (
    HOLDERS_TOLD_MAX,
    TRIES_TOLD_MAX,
    FetchReport,
)

MANY = 2_000
HOSTILE = "\x1b[2J" * MANY
UNREACHED = Cause(CauseKind.DIAL_TIMEOUT, clean(HOSTILE))
TRY = Try(Address("10.0.0.1", 7400), 0.0, 1.0)


def account(number: int, *, origin: str = "10.0.0.0/24") -> HolderAccount:
    return HolderAccount(f"{number:040x}", lambda: 1.0, origin=origin)


def dead(number: int, *, origin: str = "10.0.0.0/24") -> HolderAccount:
    gone = account(number, origin=origin)
    for _ in range(TRIES_TOLD_MAX + 1):
        gone.dialled([TRY])
    gone.lost_way(UNREACHED)
    return gone


def reported(accounts: list[HolderAccount]) -> FetchReport:
    told, untold = most_telling(accounts)
    timelines = [each.timeline() for each in told]
    return FetchReport(holders=timelines, untold=untold, holders_count=len(accounts))


def test_thousands_of_dead_hide_neither_who_gave_nor_who_lied() -> None:
    giver, liar = account(MANY + 1), account(MANY + 2)
    giver.gave(1000)
    liar.end(Cause(CauseKind.WRONG_BYTES, "sent wrong bytes"))
    report = reported([*(dead(number) for number in range(MANY)), giver, liar])
    assert len(report.holders) == HOLDERS_TOLD_MAX
    nodes = [each.node for each in report.holders]
    assert nodes[0] == giver.node
    assert liar.node in nodes
    assert sum(report.untold.values()) == MANY + 2 - HOLDERS_TOLD_MAX
    assert max(len(each.tries) for each in report.holders) == TRIES_TOLD_MAX
    assert len(msgspec.json.encode(report)) < 200_000
    lines = list(lines_of(report))
    assert len(lines) < 200
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)


def test_one_origin_leaves_places_to_others() -> None:
    crowd = [dead(number) for number in range(MANY)]
    others = [dead(MANY + number, origin=f"10.{number}.0.0/24") for number in range(1, 40)]
    for each, number in zip(others, range(1, 40), strict=True):
        each.origin = f"10.{number}.0.0/24"
    nodes = {each.node for each in reported([*crowd, *others]).holders}
    assert {each.node for each in others} <= nodes


def test_text_of_others_is_bounded_and_drives_no_terminal() -> None:
    assert len(clean(HOSTILE)) == TOLD_MAX_CHARS
    assert clean(HOSTILE).isprintable()
    assert clean("a\nb\u202ec") == "a?b?c"


def test_what_is_left_of_requests_hides_not_what_went_wrong_first() -> None:
    holder = account(1)
    holder.reached("10.0.0.0/24")
    holder.end(Cause(CauseKind.STALLED, "silent"))
    holder.end(Cause(CauseKind.LOST, "closed here"))
    holder.lost_way(Cause(CauseKind.DIAL_REFUSED, "nothing listens"))
    assert holder.kind is CauseKind.STALLED
    assert holder.unreached == "nothing listens"
