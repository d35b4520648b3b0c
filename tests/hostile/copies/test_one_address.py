"""Many keys on one address, each with a failure domain of its own, among those that a put could
choose: the address counts, whatever they say."""

from __future__ import annotations

from dhtstore.model.contact import Address, Contact, subnet
from dhtstore.model.identity import DhtKey, PublicKey, distance, node_id
from dhtstore.replication.placement import Meet, OfferTo, Placement

KEY = DhtKey(bytes(20))
CROWD, OTHERS = 16, 4


def contact(number: int, host: str) -> Contact:
    return Contact.of(PublicKey(number.to_bytes(32, "big")), Address(host, 7400), storage=True)


def by_distance(numbers: range) -> list[int]:
    return sorted(numbers, key=lambda n: distance(contact(n, "192.0.2.1").node, KEY))


def test_sixteen_labels_on_one_address_take_one_of_three_places() -> None:
    """The crowd lies nearer to the key than everybody else."""
    numbers = by_distance(range(1000))
    crowd = [contact(n, "192.0.2.66") for n in numbers[:CROWD]]
    others = [contact(n, f"198.51.{n % 250}.1") for n in numbers[CROWD : CROWD + OTHERS]]
    plan = Placement(KEY, 3, node_id(PublicKey(b"h" * 32))).found([*crowd, *others])
    meeting = plan.next()
    assert isinstance(meeting, Meet)
    for each in meeting.contacts:
        plan = plan.met(each.node, f"label {each.public_key.hex()}")
    offers = plan.next()
    assert isinstance(offers, OfferTo)
    subnets = [subnet(candidate.contact.address) for candidate in offers.candidates]
    assert subnets.count("192.0.2.0/24") == 1
    assert len(set(subnets)) == 3
