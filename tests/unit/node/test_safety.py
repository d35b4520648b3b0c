"""How safe a row of a list is, by what was seen of those who hold it."""

from __future__ import annotations

import pytest

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.copies.safety import Safety, Silence, safety_known
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


def row(
    *sets: tuple[bytes, ...],
    copies: int = 3,
    proved: Moment | None = LATELY,
    expires: Moment | None = None,
) -> ListedPut:
    joined = tuple(b"".join(each) for each in sets)
    return ListedPut("a", "bafy", 1, LATELY, copies, 3, expires, proved, sets=joined)


def known(**silent: Silence) -> Safety:
    by_name = {"one": ONE, "two": TWO, "four": FOUR}
    return Safety(NOW, PLACES, {by_name[name]: each for name, each in silent.items()})


def test_three_that_answer_are_safe_on_as_many_networks_as_they_were_met_on() -> None:
    told = known().told(row((ONE, TWO, THREE)))
    assert (told.state, told.live, told.networks, told.silent) == ("safe", 3, 2, None)
    assert known().told(row((ONE, TWO, FOUR))).networks is None
    assert "sets" not in told.__struct_fields__


def test_of_several_units_the_worst_counts() -> None:
    silent = known(one=Silence(NOW - 18_000, NOW + 25_200))
    told = silent.told(row((TWO, THREE, FOUR), (ONE, TWO, THREE)))
    assert (told.state, told.live, told.copies) == ("silent", 2, 3)
    assert (told.silent, told.due) == (Moment.at(NOW - 18_000), Moment.at(NOW + 25_200))
    assert silent.told(row((TWO, THREE, FOUR))).state == "safe"


def test_the_longest_silence_is_told_and_the_first_that_is_over() -> None:
    both = known(one=Silence(NOW - 100, NOW + 50), two=Silence(NOW - 900, NOW + 70))
    told = both.told(row((ONE, TWO, THREE)))
    assert (told.live, told.networks) == (1, 1)
    assert (told.silent, told.due) == (Moment.at(NOW - 900), Moment.at(NOW + 50))


def test_a_copy_more_than_wanted_makes_up_for_a_silent_one() -> None:
    told = known(one=Silence(NOW - 100, NOW + 50)).told(row((ONE, TWO, THREE, FOUR)))
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
    assert found.silent == {node: Silence(NOW - 7200, NOW + 44 * 3600.0)}
