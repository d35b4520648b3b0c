"""What a node signs is newer than what it signed before, and tells where it is now."""

from __future__ import annotations

from dhtstore.model.contact import Address
from dhtstore.model.identity import DhtKey
from dhtstore.net.ports import OnJump
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.tasks import Supervisor
from simulations.world.ports.crypto import SimCrypto

KEY = DhtKey(bytes(20))
HERE, THERE = Address("10.0.0.1", 7400), Address("10.0.9.9", 7401)


class Moving:
    """A clock that can be set and a machine that can move."""

    def __init__(self) -> None:
        self.unix = 1_000_000.0
        self.at: tuple[Address, ...] = (HERE,)
        self.identity = Identity(
            SimCrypto(b"node", b"owner"), self, NodeSettings(), lambda: self.at
        )

    def monotonic_s(self) -> float:
        return 0.0

    def unix_s(self) -> float:
        return self.unix

    def local_minute(self) -> tuple[int, int]:
        return 0, 0

    def watch(self, on_jump: OnJump, duties: Supervisor) -> None:
        """Nobody watches."""


def test_the_contact_record_stays_while_nothing_changes() -> None:
    node = Moving()
    first = node.identity.record()
    node.unix += 60
    assert node.identity.record() is first


def test_another_address_is_signed_at_once_even_by_a_clock_that_went_back() -> None:
    node = Moving()
    first = node.identity.record()
    node.at, node.unix = (THERE, HERE), node.unix - 600
    moved = node.identity.record()
    assert moved.address_list() == (THERE, HERE)
    assert moved.sequence == first.sequence + 1
    assert moved.issued == 1_000_000 - 600


def test_a_sequence_that_is_out_there_is_outrun() -> None:
    node = Moving()
    node.identity.record()
    node.identity.outrun(2_000_000)
    assert node.identity.record().sequence == 2_000_001
    assert node.identity.provider_record(KEY).sequence == 2_000_002


def test_a_lower_sequence_changes_nothing_that_follows() -> None:
    node = Moving()
    node.identity.outrun(5)
    assert node.identity.record().sequence == 1_000_000
