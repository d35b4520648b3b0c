"""Audits that cost the asker nothing: what they make a node look for is bounded by origin."""

from __future__ import annotations

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.params import AUDIT_UNITS_MAX, REREAD_BLOCK_BYTES
from dhtstore.wire.frames import Audit, Audited, AuditItem
from tests.simulation.harness import Lab, address_of, tell

FRAMES = 3


def test_who_names_units_without_end_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed_bytes = FRAMES * AUDIT_UNITS_MAX * REREAD_BLOCK_BYTES
    monkeypatch.setattr("dhtstore.node.copies.rereads.REREAD_AT_ONCE_BYTES", allowed_bytes)

    async def story(lab: Lab) -> None:
        await lab.grow(2)
        asking, asked = lab.nodes
        link = await asking.links.to(asked.public_key, [address_of(asked)], 15)
        items = tuple(AuditItem(bytes((n,)) * 36, False, 0) for n in range(AUDIT_UNITS_MAX))
        for number in range(FRAMES):
            audit = Audit(nonce=bytes((number,)) * 32, units=items)
            answer = await link.request(audit, Audited, 15)
            assert answer.proofs == (b"",) * AUDIT_UNITS_MAX
        with pytest.raises(PeerRefused, match="ask later"):
            await link.request(audit, Audited, 15)

    tell(story)
