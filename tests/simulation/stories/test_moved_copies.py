"""Who says that its copy goes is believed about itself alone, and only once."""

from __future__ import annotations

import pytest

from dhtstore.errors import PeerRefused
from simulations.events.users import put_bytes
from tests.simulation.harness import Lab, tell, units_of


def test_the_copy_of_who_moves_it_counts_for_nothing_and_a_lie_makes_one_too_many() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(6)
        putter = lab.nodes[0]
        result = await put_bytes(putter, b"moving" * 5000)
        [unit] = units_of(putter, result)
        policy = putter.ledger.claims.policy(putter.identity.owner, result.cid.raw)
        assert policy is not None
        held = [n for n in lab.nodes if n.ports.store.has(result.cid)]
        first, second, _ = [n for n in lab.nodes if n not in held]
        liar = held[1]
        with pytest.raises(PeerRefused, match="others hold as many"):
            await first.holder.wanted(unit, policy, "10.9.9.0/24", None)
        assert await first.holder.wanted(unit, policy, "10.9.9.0/24", liar.public_key) == 2
        stranger = second.public_key
        with pytest.raises(PeerRefused, match="others hold as many"):
            await first.holder.wanted(unit, policy, "10.9.9.0/24", stranger)
        [one] = await liar.repair.units.named([(unit.name, unit.spine)])
        async with liar.repair.alone():
            await liar.repair.asking.afresh(one)
            contact = next(c for c in liar.dht.contacts() if c.node == first.node_id)
            moved = await liar.repair.acting.move(one, contact)
            assert moved.holders == [first.public_key]
            again = next(c for c in liar.dht.contacts() if c.node == second.node_id)
            moved = await liar.repair.acting.move(one, again)
        assert moved.holders == []
        assert "others hold as many" in moved.why

    tell(story)
