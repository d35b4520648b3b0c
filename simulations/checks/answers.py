"""Answers beside what the answerer knows."""

from __future__ import annotations

import random
from collections.abc import Iterable

from dhtstore.params import NODE_ID_BYTES, K
from simulations.checks.checker import Checker, some
from simulations.checks.world_view import WorldView
from simulations.seeds import derived_seed

_NODES_MAX, _KEYS_MAX = 32, 4  # asked each time, and about so many keys that they have records of


class AnswersAreTrue(Checker):
    """Asked about a key, a node names the closest contacts that it has, closest first, and the
    live providers that it keeps records of."""

    name = "answers_are_true"
    blind_to = (
        "whether what it knows is true, and what it would say to others than a stranger; records "
        f"that do not fit the first page; all but {_NODES_MAX} nodes at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        found: list[str] = []
        for node in some(world.nodes_up(), _NODES_MAX, world.now_s):
            rng = random.Random(derived_seed(0, f"asked/{node}/{world.now_s!r}"))
            records = world.records(node)
            provided = sorted({r.key for r in records if r.provides})
            for key in (rng.randbytes(NODE_ID_BYTES), *some(provided, _KEYS_MAX, world.now_s)):
                kept = {r.signer for r in records if r.key == key and r.serves(world.now_s)}
                found += (f"node {node} {wrong}" for wrong in _faults(world, node, key, kept))
        return found


def _faults(world: WorldView, node: int, key: bytes, kept: set[bytes]) -> Iterable[str]:
    """``kept`` are the live providers that it keeps records of."""
    answered = world.answer(node, key)
    named, number = list(answered.contacts), int.from_bytes(key, "big")
    known = [contact for _, _, members in world.buckets(node) for contact in members]
    known.sort(key=lambda contact: int.from_bytes(contact, "big") ^ number)
    if named != known[: len(named)]:
        yield f"does not name the closest of its contacts to {key.hex()}"
    records = answered.providers or answered.withdrawals  # which take of the room
    if len(named) < min(len(known), 1 if records else K):
        yield f"names {len(named)} contacts of {len(known)}"
    if answered.total != len(kept) or not set(answered.providers) <= kept:
        yield f"tells of {answered.total} providers of {key.hex()}, and keeps {len(kept)}"
    if kept and not answered.providers:
        yield f"names none of the {len(kept)} providers of {key.hex()} that it keeps"
