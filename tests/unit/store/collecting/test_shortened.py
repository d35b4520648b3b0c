"""What ends before it once should have is known for that."""

from __future__ import annotations

import pytest

from dhtstore.model.policy import Policy
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.memory import MemoryKeyValue
from tests.unit.store.test_tables import claim, policy


@pytest.mark.parametrize("by_claim", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "shortened"),
    [
        (policy(expires=0), policy(sequence=2, expires=60), True),
        (policy(expires=90), policy(sequence=2, expires=60), True),
        (policy(removed=True), policy(sequence=2, expires=60), True),
        (policy(expires=60), policy(sequence=2, expires=60), False),
        (policy(expires=60), policy(sequence=2, expires=90), False),
        (policy(expires=60), policy(sequence=2), False),
        (policy(expires=60), policy(sequence=2, removed=True), False),
    ],
)
def test_a_policy_that_replaces_a_longer_one_is_known_for_that_until_it_is_forgotten(
    before: Policy, after: Policy, *, by_claim: bool, shortened: bool
) -> None:
    table = MemoryKeyValue()
    claims = Claims(table)
    claims.put(claim(b"unit", before))
    assert not claims.shortened(before)
    assert claims.put(claim(b"unit", after)) if by_claim else claims.update(after)
    assert claims.shortened(after) is shortened
    longer = policy(sequence=3, expires=2**40)
    assert claims.update(longer)
    assert claims.shortened(longer) >= shortened, "not as long as the first"
    claims.forget_policy(longer)
    assert not claims.shortened(longer)
