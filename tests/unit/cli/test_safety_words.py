"""What a person reads of how safe something is: a sentence for each case, held word by word."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dhtstore.cli.keeping.events import event_text, nothing_text
from dhtstore.cli.keeping.leave import left_text
from dhtstore.cli.keeping.repair import repair_text
from dhtstore.cli.nodes.status import seen_of
from dhtstore.cli.terminal.words import odds_text, root_lines, safety_text, seen_text, weak_lines
from dhtstore.operations.keeping import PutSummary, SafeState
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import HolderStatus, OwnerWants, RootStatus, UnitStatus
from dhtstore.operations.repairing import CopyEvent, RepairedUnit
from dhtstore.operations.safety import CopiesStatus, HoldersSeen, UnitCare, WeakObject

NOW = 1_800_000_000
HOUR = 3600
NOTHING_SEEN = HoldersSeen(86_400 * 3, 0, 1.0, False)
MEASURED = HoldersSeen(86_400 * 4000, 4, 0.4, True)


PROVED = Moment.at(NOW - 20 * 60)


def put(
    state: SafeState,
    *,
    copies: int = 3,
    live: int = 3,
    networks: int | None = None,
    proved: Moment | None = PROVED,
    expires: Moment | None = None,
    silent: Moment | None = None,
    due: Moment | None = None,
) -> PutSummary:
    begun, name = Moment.at(NOW - 9 * HOUR), "holiday.iso"
    known = (state, live, networks, silent, due)
    return PutSummary(name, "bafy", 1, begun, copies, 3, expires, proved, *known)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            put("safe", live=3, networks=3),
            "safe, 3 copies on 3 networks, last proved 20 minutes ago",
        ),
        (put("safe", live=3), "safe, 3 copies, last proved 20 minutes ago"),
        (
            put("believed", live=3, networks=1, proved=Moment.at(NOW - 90 * 24 * HOUR)),
            "3 copies on 1 network, last proved 90 days ago: `dhtstore list --check` asks the"
            " holders",
        ),
        (
            put(
                "silent",
                live=1,
                silent=Moment.at(NOW - 5 * HOUR),
                due=Moment.at(NOW + 7 * HOUR),
            ),
            "1 of 3, 2 holders have been silent for 5 hours, repair starts in 7 hours or now with"
            " `dhtstore repair`",
        ),
        (
            put("silent", live=2, silent=Moment.at(NOW - 50 * HOUR), due=Moment.at(NOW)),
            "2 of 3, a holder has been silent for 2 days, repair is due, `dhtstore repair` does it"
            " now",
        ),
        (
            put("silent", live=2, silent=Moment.at(NOW - 50 * HOUR), due=Moment.at(NOW + 0.4)),
            "2 of 3, a holder has been silent for 2 days, repair is due, `dhtstore repair` does it"
            " now",
        ),
        (
            replace(put("silent", copies=4, silent=Moment.at(NOW - 5 * HOUR)), replicas=4),
            "3 of 4, a holder has been silent for 5 hours: of so many, one that is missing may wait"
            " for the next",
        ),
        (
            put("safe", proved=Moment.at(NOW)),
            "safe, 3 copies, last proved just now",
        ),
        (
            put("short", copies=1, live=1),
            "1 of 3: its holders repair it by themselves, if others take it; `dhtstore repair` on"
            " one of them, or putting it again, does it now",
        ),
        (
            put(
                "silent",
                live=1,
                silent=Moment.at(NOW - 5 * HOUR),
                due=Moment.at(NOW),
                expires=Moment.at(NOW + 600),
            ),
            "1 of 3, 2 holders have been silent for 5 hours, it ends in 10 minutes, so no copy is"
            " made any more",
        ),
        (
            put("short", copies=1, live=1, expires=Moment.at(NOW + 600)),
            "1 of 3: it ends in 10 minutes, so no copy is made any more",
        ),
        (put("none", copies=0, proved=None), "0 of 3: no copy is known, put it again"),
        (
            put("expired", expires=Moment.at(NOW - 2 * HOUR)),
            "wanted until 2 hours ago, its holders free it",
        ),
    ],
)
def test_a_put_in_one_line(row: PutSummary, said: str) -> None:
    assert safety_text(row, NOW) == said


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (0.632, "63 %"),
        (0.01, "1 %"),
        (1 / 123, "1 in 120"),
        (8.2e-5, "1 in 12,000"),
        (1e-12, "less than 1 in 1,000,000,000"),
    ],
)
def test_odds(probability: float, said: str) -> None:
    assert odds_text(probability) == said


def test_what_ends_is_not_told_as_held_by_nobody_here_and_what_has_ended_ends_no_more() -> None:
    """A node watches nothing in its last quarter of an hour, though it holds it."""
    unit = UnitStatus("bafy", 1, ["a", "b", "c"])
    ending = put("safe", live=3, expires=Moment.at(NOW + 600))
    assert root_lines(RootStatus("bafy", 3, 3, [unit], put=ending), NOW)[1:] == [
        "it ends in 10 minutes, so no copy is made any more: `dhtstore policy holiday.iso --ttl T`"
        " gives it more time"
    ]
    over = put("expired", live=3, expires=Moment.at(NOW - 600))
    assert len(root_lines(RootStatus("bafy", 3, 3, [unit], put=over), NOW)) == 1
    care = UnitCare("nothing", "3 copies of 3", None, None)
    told = RootStatus("bafy", 3, 3, [replace(unit, care=care)], put=over)
    assert not any("expires in" in line for line in root_lines(told, NOW))


def test_a_root_that_is_watched_and_one_that_is_not() -> None:
    care = UnitCare("nothing", "3 copies of 3", None, Moment.at(NOW + 26 * HOUR))
    unit = UnitStatus("bafy", 1, ["a", "b", "c"], care=care)
    row = put("safe", live=3, networks=3)
    told = RootStatus("bafy", 3, 3, [unit], put=row, lost_per_year=8.2e-5, seen=NOTHING_SEEN)
    assert root_lines(told, NOW) == [
        "holiday.iso: safe, 3 copies on 3 networks, last proved 20 minutes ago",
        "lost within a year: 1 in 12,000 (by the assumption that a holder lasts a year; so far"
        " holders were watched for 3 days in sum, none was lost)",
        "next: an audit in 26 hours; nothing to repair (3 copies of 3)",
    ]
    client = RootStatus("bafy", None, 1, [UnitStatus("bafy", 1, ["a"])])
    assert root_lines(client, NOW) == [
        "bafy: not put from here",
        "this node holds no copy, so it watches no holder and cannot know who died or repaired"
        " since: --check asks the holders",
    ]
    asked = replace(client, checked=True)
    assert root_lines(asked, NOW)[-1] == (
        "this node holds no copy, so it watches no holder: this is what they answered just now"
    )
    of_others = replace(client, units=[replace(unit, care=replace(care, act="wait", audit=None))])
    assert root_lines(of_others, NOW) == [
        "bafy: not put from here, held for its owner",
        "next: 3 copies of 3",
    ]


def test_the_copies_of_a_node() -> None:
    due = Moment.at(NOW + 7 * HOUR)
    weak = [
        WeakObject("bafya", "notes", "bafya", 1, 1, 2, 3, 0.004, "nothing", "", due),
        WeakObject("bafyb", "", "bafyb", 1, 3, 3, 3, 1e-5, "nothing", "", None),
    ]
    told = CopiesStatus(9, 1, 12_600_000, {"for the next round": 1}, weak, 0, 10**9, MEASURED)
    assert weak_lines(told, NOW) == [
        "1 unit has fewer copies than wanted, 12.6 MB to send",
        "1 of them waits for the next round",
        "the most endangered of what is held here (measured: 4 holders were lost for good in"
        " 11 years of watching one):",
        "  notes: 1 of 3, lost within a year: 1 in 250, repair starts in 7 hours or now with"
        " `dhtstore repair`",
        "  bafyb: 3 of 3, lost within a year: 1 in 100,000",
    ]
    assert weak_lines(CopiesStatus(0, 0, 0, {}, [], 0, 0, MEASURED), NOW) == []


def test_an_event_in_one_line() -> None:
    def event(kind: str, why: str, *, name: str = "notes", size: int = 0) -> str:
        return event_text(CopyEvent(Moment.at(NOW), kind, "bafy", "bafy", "1a2b", size, why, name))

    at = "2027-01-15 08:00:00Z"
    silent = "silent for 50 hours"
    assert event("lost", silent) == f"{at} lost notes: the copy at 1a2b counts no more: {silent}"
    assert event("repaired", "2 copies of 3", size=12_600_000) == (
        f"{at} repaired notes: a copy was made at 1a2b (12.6 MB); before that: 2 copies of 3"
    )
    assert event("refused", "it has no room", name="") == (
        f"{at} refused bafy: nobody took a copy: it has no room"
    )
    assert event("dropped", "4 holders answer") == (
        f"{at} dropped notes: the copy here went, since it was one too many: 4 holders answer"
    )


def test_what_repair_did_and_what_was_before_it() -> None:
    def done(act: str, made: int, why: str, *, dry_run: bool = False) -> str:
        unit = RepairedUnit("bafy", "bafy", act, why, 2, 3, made, 0)
        return repair_text(unit, dry_run=dry_run)

    short = "2 copies of 3 (1 silent beyond its grace)"
    assert done("repair", 0, short, dry_run=True) == f"bafy: to be repaired: {short}"
    assert done("repair", 1, short) == f"bafy: 1 copy made; before that: {short}"
    assert done("repair", 2, short) == f"bafy: 2 copies made; before that: {short}"
    declined = f"{short}; 1a2b: it has no room"
    assert done("repair", 0, declined) == f"bafy: no copy made: {declined}"
    assert done("drop", 0, "4 holders") == "bafy: dropped: 4 holders"
    named = RepairedUnit("unit9", "bafy", "wait", short, 2, 3, 0, 0, "notes")
    assert repair_text(named, dry_run=True) == f"notes (unit unit9): waits: {short}"


def test_what_a_node_that_stays_could_not_hand_over() -> None:
    why = "2 other copies are proved, 3 wanted; 1a2b: it has no room"
    whole = RepairedUnit("bafy", "bafy", "nothing", why, 2, 3, 0, 0)
    assert left_text(whole) == f"bafy: {why}"
    assert left_text(replace(whole, unit="unit9")) == f"bafy (unit unit9): {why}"


@pytest.mark.parametrize(("gone", "said"), [(0, "none was"), (1, "1 was"), (2, "2 were")])
def test_how_many_holders_were_lost_so_far(gone: int, said: str) -> None:
    seen = replace(NOTHING_SEEN, gone=gone)
    assert seen_text(seen).endswith(f"so far holders were watched for 3 days in sum, {said} lost")


def test_that_nothing_happened() -> None:
    assert nothing_text(None) == "nothing happened to copies yet"
    assert nothing_text(2.0) == "nothing happened to copies in the last 2 seconds"
    assert nothing_text(7 * 24 * HOUR) == "nothing happened to copies in the last 7 days"


def test_a_copy_that_a_large_put_can_spare_is_not_told_as_if_it_were_about_to_be_made() -> None:
    spared = replace(put("short"), replicas=4)
    assert safety_text(spared, NOW) == (
        "3 of 4: of so many, one that is missing may wait for the next; `dhtstore repair` on one of"
        " them, or putting it again, does it now"
    )
    more = replace(put("short", copies=6), replicas=8)
    assert "of so many, up to 2 that are missing may wait" in safety_text(more, NOW)
    assert "by themselves" in safety_text(replace(more, copies=5), NOW)
    never_made = replace(spared, due=Moment.at(NOW))
    assert "by themselves" in safety_text(never_made, NOW)


def test_copies_that_others_keep_are_not_told_as_if_they_were_about_to_be_made() -> None:
    """Beside "nothing to repair" stood "its holders repair it by themselves"."""
    care = UnitCare("nothing", "4 copies of 3", None, None)
    unit = UnitStatus("bafy", 1, ["a", "b"], care=care)
    told = RootStatus("bafy", 3, 2, [unit], put=put("short", copies=2, live=2))
    assert root_lines(told, NOW) == [
        "holiday.iso: 2 of 3 signed for it; others say that they hold it, too",
        "next: nothing to repair (4 copies of 3)",
    ]
    due = replace(care, due=Moment.at(NOW + HOUR))
    waits = replace(told, units=[replace(unit, care=due)])
    assert "by themselves" in root_lines(waits, NOW)[0]
    gone = HolderStatus("b", "silent", None, "Connection refused", silent_s=0.0, there=1.0)
    checked = replace(told, units=[replace(unit, holders=[gone])])
    assert "others say" not in root_lines(checked, NOW)[0]
    assert seen_of(gone) == "answered before, there 100 % of the time"
    assert seen_of(replace(gone, state="live")) == "answers, there 100 % of the time"


def test_of_two_owners_both_are_named() -> None:
    until = Moment.at(NOW + HOUR)
    owners = [OwnerWants("aa" * 32, "bafy", 1, None, True)]
    row = replace(put("shared", copies=2, live=2), others=1)
    told = RootStatus("bafy", 3, 2, [], put=row, owners=owners)
    shared = "1 of them just made, or kept for another owner"
    safe = f"holiday.iso: 3 copies, {shared}, last proved 20 minutes ago"
    assert root_lines(told, NOW)[:1] == [safe]
    assert "wanted" not in root_lines(told, NOW)[1]
    owners += [OwnerWants("bb" * 32, "bafy", 2, until, False)]
    owners += [OwnerWants("cc" * 32, "bafz", 5, None, False)]
    assert root_lines(told, NOW)[1] == (
        "wanted: 1 copy by this owner, 2 by bbbbbbbb, 5 by cccccccc (as part of bafz)"
    )
    two = replace(row, live=1, others=2)
    several = "3 copies, 2 of them just made, or kept for other owners, last"
    assert safety_text(two, NOW).startswith(several)
