"""The table's limit of nodes at one address holds however a node gets there."""

from __future__ import annotations

import random
from collections.abc import Iterator

from kademlia.node import Node

from dhtstore.dht.core.peer import Peer, peer_of
from dhtstore.dht.core.table import Table
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey
from dhtstore.params import NODES_PER_IP_MAX, PEER_FAILURES_MAX

OWN = Node(bytes(20))
ONE_HOST = "8.8.8.8"


def peers_in_far_half(seed: int, host: str) -> Iterator[Peer]:
    """Strangers whose ids begin with a 1, so that all of them belong to bucket 0."""
    rng, port = random.Random(seed), 1000
    while True:
        port += 1
        peer = peer_of(Contact.of(PublicKey(rng.randbytes(32)), Address(host, port)))
        if peer.id[0] >> 7:
            yield peer


def at(peer: Peer, host: str) -> Peer:
    return peer_of(Contact.of(peer.contact.public_key, Address(host, peer.address.port)))


def full_table(ksize: int) -> Table:
    """Bucket 0 is full of nodes at addresses of their own."""
    table, strangers = Table(OWN, ksize), peers_in_far_half(1, "10.0.0.1")
    for number in range(ksize):
        table.answered(at(next(strangers), f"9.9.9.{number}"), 0.0)
    return table


def fail(table: Table, peer: Peer) -> None:
    for _ in range(PEER_FAILURES_MAX):
        table.failed(peer, 1.0)


def count_at(table: Table, host: str) -> int:
    return sum(peer.ip == host for peer in table)


def test_replacements_of_one_address_do_not_take_a_bucket_over() -> None:
    table, crowd = full_table(4), peers_in_far_half(2, ONE_HOST)
    for _ in range(4):
        table.answered(next(crowd), 0.5)
    for peer in list(table):
        fail(table, peer)
    assert count_at(table, ONE_HOST) == NODES_PER_IP_MAX
    assert len(table) == NODES_PER_IP_MAX


def test_a_replacement_that_may_not_enter_does_not_keep_others_out() -> None:
    table, crowd = full_table(4), peers_in_far_half(2, ONE_HOST)
    welcome = at(next(crowd), "7.7.7.7")
    table.answered(welcome, 0.5)
    for _ in range(3):
        table.answered(next(crowd), 0.6)
    for peer in list(table)[:3]:
        fail(table, peer)
    assert count_at(table, ONE_HOST) == NODES_PER_IP_MAX
    assert table.get(welcome) is not None


def test_nodes_that_move_to_one_address_stay_where_they_were_known() -> None:
    table = full_table(4)
    for peer in list(table):
        table.answered(at(peer, ONE_HOST), 0.5)
    assert count_at(table, ONE_HOST) == NODES_PER_IP_MAX
    assert len(table) == 4
