"""Keys that somebody worked for: they are made so, and go first where places are contended."""

from __future__ import annotations

import hashlib
import random

from dhtstore.dht.core.bucket import Bucket
from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.region.region import Region
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey, solved
from dhtstore.net.crypto import Ed25519Signer, solved_seed
from dhtstore.params import NODE_ID_BYTES, PUZZLE_BITS, REGION_NODES_MAX
from tests.unit.dht.region.peers import ground, peer_with

RNG = random.Random(1)


def worked_for() -> PublicKey:
    """Without Ed25519, which would be slower: any bytes are a key here."""
    while not solved(key := RNG.randbytes(32)):
        pass
    return PublicKey(key)


def peer(number: int, key: PublicKey) -> Peer:
    node = NodeId(number.to_bytes(NODE_ID_BYTES, "big"))
    return Peer(Contact(key, Address("10.0.0.1", 4001), node, storage=True), key)


def test_a_new_key_solves_it() -> None:
    key = Ed25519Signer(solved_seed(RNG.randbytes)).public_key
    twice = hashlib.sha256(hashlib.sha256(key).digest()).digest()
    assert int.from_bytes(twice, "big") < 1 << (256 - PUZZLE_BITS)


def test_one_key_in_two_to_the_bits_does_by_chance() -> None:
    tries = 20_000
    by_chance = sum(solved(RNG.randbytes(32)) for _ in range(tries))
    assert by_chance < 3 * tries / 2**PUZZLE_BITS


def test_it_waits_before_the_others_for_a_place_in_a_table() -> None:
    bucket, without = Bucket(0.0), [peer_with(number) for number in range(1, 6)]
    bucket.keep_as_replacement(without[0])
    bucket.keep_as_replacement(without[1])
    first = peer(100, worked_for())
    bucket.keep_as_replacement(first)
    for one in without[2:]:
        bucket.keep_as_replacement(one)
    assert bucket.replacements == [*without[2:], first]


def test_among_keys_of_before_the_one_heard_last_waits_first_as_ever() -> None:
    bucket, without = Bucket(0.0), [peer_with(number) for number in range(1, 6)]
    for one in without:
        bucket.keep_as_replacement(one)
    assert bucket.replacements == without[1:]


def test_of_a_crowd_that_is_too_large_they_are_asked() -> None:
    key = RNG.getrandbits(160)
    region = Region.around(key, 1000.0)
    crowd = [peer_with(number) for number in ground(RNG, key, 2 * REGION_NODES_MAX, 16)]
    honest = [peer(number, worked_for()) for number in ground(RNG, key, 8, 12)]
    members = region.members([*crowd, *honest])
    assert {one.id for one in honest} <= {one.id for one in members}
