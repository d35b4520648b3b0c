"""What users stored, and what they got back."""

from __future__ import annotations

from dhtstore.params import UNIT_SIZE_MAX_BYTES
from simulations.checks.checker import Checker, some
from simulations.checks.world_view import WorldView

_OBJECTS_MAX = 500  # looked at each time


def answers_for(world: WorldView, node: int, number: int) -> bool:
    """Whether no fault excuses a holder from keeping that object."""
    return world.honest(node) and world.has_disk(node) and not world.damaged(node, number)


def able_holders(world: WorldView, at_most: int) -> list[tuple[int, list[int]]]:
    """Objects of one unit, each with those of its holders that no fault excuses."""
    puts = world.journal.acknowledged
    whole = [number for number, put in puts.items() if put.size_bytes <= UNIT_SIZE_MAX_BYTES]
    return [
        (number, [node for node in puts[number].holders if answers_for(world, node, number)])
        for number in some(whole, at_most, world.now_s)
    ]


class NothingLost(Checker):
    """An acknowledged object is whole on a holder that no fault robbed of it, if there is one."""

    name = "nothing_lost"
    blind_to = (
        "whether it can be found and fetched; objects all of whose holders lost their disks, "
        "rotted or lie, and those of more than one unit; what is lost and found again between two "
        f"looks; all but {_OBJECTS_MAX} objects at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        return [
            f"object {number} is on none of its live holders {able}"
            for number, able in able_holders(world, _OBJECTS_MAX)
            if able and not any(world.holds(node, number) for node in able)
        ]


class ReceiptsHold(Checker):
    """Whoever signed a receipt holds every block of the object and a claim on it, if no fault
    robbed it of them and it did not let go of a copy too many, which it wrote down."""

    name = "receipts_hold"
    blind_to = (
        "holders whose disk was lost or rotted or that lie; objects of more than one unit; whether "
        "a copy can be found and fetched, and one that went was too many (nothing_lost); all but "
        f"{_OBJECTS_MAX} objects at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        found = []
        for number, able in able_holders(world, _OBJECTS_MAX):
            for node in able:
                holds = world.holds(node, number)
                if (holds and world.claims(node, number)) or world.let_go(node, number):
                    continue
                lacks = "claims it no more" if holds else "does not hold it"
                found.append(f"node {node} signed for object {number} and {lacks}")
        return found


class PutsPinned(Checker):
    """Who put an object and keeps a copy itself has it pinned, unless a fault took its disk."""

    name = "puts_pinned"
    blind_to = (
        "what is pinned by hand, and names of pins; objects of more than one unit; all but "
        f"{_OBJECTS_MAX} objects at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {putter} put object {number}, keeps a copy, and has it pinned no more"
            for number, able in able_holders(world, _OBJECTS_MAX)
            for putter in [world.journal.acknowledged[number].putter]
            if putter in able and not world.pinned(putter, number)
        ]


class CopiesReached(Checker):
    """A put is acknowledged only with as many holders as its quorum; most have all the replicas
    that were asked for, where there are enough nodes."""

    name = "copies_reached"
    blind_to = (
        "whether the holders are the right ones; puts that reach their quorum and not all replicas "
        "(as many as are asked for is a wish, the quorum a promise: 2 by default), unless that "
        "befalls more than half of ten or more"
    )
    _ENOUGH = 10

    def check(self, world: WorldView) -> list[str]:
        puts = world.journal.acknowledged
        few = [
            f"object {number} was acknowledged with {len(set(put.holders))} holders, and "
            f"{put.min_acks} were promised"
            for number, put in puts.items()
            if len(set(put.holders)) < put.min_acks
        ]
        short = sum(len(set(put.holders)) < put.replicas for put in puts.values())
        most = max((put.replicas for put in puts.values()), default=0)
        enough_nodes = len(world.nodes_up()) > 2 * most
        if len(puts) >= self._ENOUGH and enough_nodes and 2 * short > len(puts):
            few.append(f"{short} of {len(puts)} objects have fewer holders than were asked for")
        return few


class NoWrongBytes(Checker):
    """No get ever returns other bytes than were put."""

    name = "no_wrong_bytes"
    blind_to = "gets that fail, and objects never acknowledged"

    def check(self, world: WorldView) -> list[str]:
        puts = world.journal.acknowledged
        return [
            f"node {got.client} got wrong bytes for object {got.object} at {got.at_s:.3f} s"
            for got in world.journal.returned
            if got.object in puts and puts[got.object].sha256 != got.sha256
        ]
