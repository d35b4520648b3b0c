"""How safe a row of a list is, by what was seen of those who hold it."""

from __future__ import annotations

import pytest

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.copies.safety import Safety, safety_known
from dhtstore.operations.moment import Moment
from dhtstore.params import DAY_S
from dhtstore.replication.health.past import PeerPast
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.listing.listing import ListedPut
from dhtstore.store.ledger.listing.places import HolderPlace
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace

NOW = 1_800_000_000
ONE, TWO, THREE, FOUR = (bytes([number]) * 20 for number in range(1, 5))
PLACES = {
    ONE: HolderPlace("192.0.2.0/24"),
    TWO: HolderPlace("198.51.100.0/24"),
    THREE: HolderPlace("198.51.100.0/24", "rack"),
}
LATELY = Moment.at(NOW - 1200)
HOUR = 3600


def row(
    *sets: tuple[bytes, ...],
    copies: int = 3,
    proved: Moment | None = LATELY,
    expires: Moment | None = None,
    replicas: int = 3,
) -> ListedPut:
    joined = tuple(b"".join(each) for each in sets)
    return ListedPut("a", "bafy", 1, LATELY, copies, replicas, expires, proved, sets=joined)


def away(silent_s: float) -> PeerPast:
    """Whose grace is 36 hours."""
    return PeerPast(NOW - DAY_S, NOW - silent_s, NOW, silent_s=silent_s)


def known(**silent: PeerPast) -> Safety:
    by_name = {"one": ONE, "two": TWO, "four": FOUR}
    return Safety(NOW, PLACES, {by_name[name]: each for name, each in silent.items()})


def test_three_that_answer_are_safe_on_as_many_networks_as_they_were_met_on() -> None:
    told = known().told(row((ONE, TWO, THREE)))
    assert (told.state, told.live, told.networks, told.silent) == ("safe", 3, 2, None)
    assert known().told(row((ONE, TWO, FOUR))).networks is None
    assert "sets" not in told.__struct_fields__


def test_of_several_units_the_worst_counts() -> None:
    silent = known(one=away(5 * HOUR))
    told = silent.told(row((TWO, THREE, FOUR), (ONE, TWO, THREE)))
    assert (told.state, told.live, told.copies) == ("silent", 2, 3)
    assert told.silent == Moment.at(NOW - 5 * HOUR)
    assert told.due is not None
    assert round(told.due.unix_s - NOW) == 31 * HOUR
    assert silent.told(row((TWO, THREE, FOUR))).state == "safe"


def test_the_longest_silence_is_told_and_when_a_copy_is_made_again() -> None:
    """Of three, whose other two are silent, one copy is made once that was for 0.8 of a grace in
    sum; the list said the end of the first grace."""
    told = known(one=away(10 * HOUR), two=away(9 * HOUR)).told(row((ONE, TWO, THREE)))
    assert (told.live, told.networks) == (1, 1)
    assert told.silent == Moment.at(NOW - 10 * HOUR)
    assert told.due is not None
    assert round(told.due.unix_s - NOW) == round((0.8 * 36 - 19) / 2 * HOUR)


def test_silence_is_told_as_it_was_observed_and_not_since_who_looks_was_off_itself() -> None:
    """Of a week since it was heard two hours count: of those the rest of its grace is told."""
    seen = PeerPast(NOW - 30 * DAY_S, NOW - 7 * DAY_S, NOW, silent_s=2 * HOUR)
    told = known(one=seen).told(row((ONE, TWO, THREE)))
    assert told.silent == Moment.at(NOW - 2 * HOUR)


def test_one_of_four_that_is_silent_is_not_said_to_be_replaced() -> None:
    """It may be missing before anybody repairs; of two the second may not."""
    four = row((ONE, TWO, THREE, FOUR), copies=4, replicas=4)
    told = known(one=away(5 * HOUR)).told(four)
    assert (told.state, told.live, told.due) == ("silent", 3, None)
    told = known(one=away(5 * HOUR), two=away(9 * HOUR)).told(four)
    assert told.due is not None
    assert round(told.due.unix_s - NOW) == 31 * HOUR


def test_a_copy_more_than_wanted_makes_up_for_a_silent_one() -> None:
    told = known(one=away(5 * HOUR)).told(row((ONE, TWO, THREE, FOUR)))
    assert (told.state, told.live) == ("safe", 3)


@pytest.mark.parametrize(
    ("put", "state"),
    [
        (row((ONE, TWO, THREE), proved=Moment.at(NOW - 9 * DAY_S)), "believed"),
        (row((ONE, TWO), copies=2), "short"),
        (row(copies=0, proved=None), "none"),
        (row((ONE, TWO, THREE), expires=Moment.at(NOW - 1)), "expired"),
        (row((ONE, TWO, THREE), expires=Moment.at(NOW + 1)), "safe"),
        (row(), "safe"),  # of an earlier version, which did not write down who holds it
    ],
)
def test_states(put: ListedPut, state: str) -> None:
    assert known().told(put).state == state


async def test_what_is_seen_of_holders_comes_before_what_was_written_down() -> None:
    ledger = Ledger.of(MemoryKeyValue(), no_trace)
    blocking = ThreadBlocking()
    key, other = PublicKey(bytes(32)), PublicKey(b"\1" * 32)
    node = node_id(key)
    ledger.places.save({node: HolderPlace("192.0.2.0/24", "attic"), FOUR: HolderPlace("x")})
    past = PeerPast(NOW - DAY_S, NOW - 7200, NOW, silent_s=7200.0)
    watched = [(key, past, Address("198.51.100.7", 1)), (other, PeerPast.met(NOW), None)]
    try:
        found = await safety_known(Disk(MemoryBlockStore(None), blocking), ledger, NOW, watched)
    finally:
        await blocking.close()
    assert found.places == {node: HolderPlace("198.51.100.0/24", "attic"), FOUR: HolderPlace("x")}
    assert found.silent == {node: past}
