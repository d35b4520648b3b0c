"""The ledger of claims against a model that goes through all of them each time, over both tables,
with a new process in between wherever it likes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key
from dhtstore.model.policy import Claim, Policy, Usage
from dhtstore.model.signing import attach
from dhtstore.params import NEWCOMER_AGE_S
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.contract import KeyValue
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.in_memory import base_in_memory

OWNERS = (b"A" * 32, b"B" * 32, b"C" * 32)
OWN = OWNERS[2]
ROOTS = tuple(Cid.of(b"root %d" % number).raw for number in range(3))
UNITS = (b"u", b"uu", b"v")
ORIGINS = ("", "192.0.2.0/24", "198.51.100.0/24")
STORED = {b"u": 1000, b"uu": 250, b"v": 77}  # of one unit each node counts alike
Key = tuple[bytes, bytes, bytes]

numbers = st.integers(0, 2)


def key_of(claim: Claim) -> Key:
    return claim.unit, claim.policy.owner, claim.policy.root


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    owner, root = OWNERS[draw(numbers)], ROOTS[draw(numbers)]
    expires = draw(st.sampled_from([0, 0, 50, 10**6]))
    unsigned = Policy(owner, root, draw(numbers), 3, expires, removed=draw(numbers) == 2)
    unit, roots = UNITS[draw(numbers)], (root,) * draw(st.integers(1, 3))
    policy, origin = attach(unsigned, b"s" * 64), ORIGINS[draw(numbers)]
    return Claim(unit, roots, False, 7, 1, policy, STORED[unit], origin)


class ClaimsModel(RuleBasedStateMachine):
    """``real`` and ``begun`` are the claims; ``met`` when newcomers came, and whence."""

    def __init__(self) -> None:
        super().__init__()
        self.table = self.new_table()
        self.claims = Claims(self.table, own=OWN)
        self.real: dict[Key, Claim] = {}
        self.begun: dict[Key, Claim] = {}
        self.policies: dict[tuple[bytes, bytes], Policy] = {}
        self.met: dict[bytes, tuple[float, str]] = {}
        self.now_unix_s = 0.0

    def new_table(self) -> KeyValue:
        return MemoryKeyValue()

    # --- what is done -----------------------------------------------------------------------

    @rule(claim=claims(), known=st.booleans())
    def begin(self, claim: Claim, known: bool) -> None:
        self.claims.begin(claim, None if known else self.now_unix_s)
        if not known and not self.owned(claim.policy.owner):
            self.met[claim.policy.owner] = self.now_unix_s, claim.origin
        self.begun[key_of(claim)] = claim

    @rule(claim=claims())
    def put(self, claim: Claim) -> None:
        root = claim.policy.owner, claim.policy.root
        known = self.policies.get(root)
        newest = known is None or known.precedence <= claim.policy.precedence
        assert self.claims.put(claim) == newest
        if newest:
            self.policies[root] = claim.policy
        self.real[key_of(claim)] = claim
        self.begun.pop(key_of(claim), None)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.put(data.draw(st.sampled_from(list(self.begun.values()))))

    @rule(claim=claims())
    def drop_pending(self, claim: Claim) -> None:
        self.claims.drop_pending(claim)
        self.begun.pop(key_of(claim), None)
        self.forget_strangers()

    @rule(unit=st.sampled_from(UNITS))
    def forget(self, unit: bytes) -> None:
        self.claims.forget(unit)
        self.real = {key: claim for key, claim in self.real.items() if key[0] != unit}
        self.forget_strangers()

    @rule(claim=claims())
    def update(self, claim: Claim) -> None:
        root = claim.policy.owner, claim.policy.root
        known = self.policies.get(root)
        newer = known is not None and known.precedence < claim.policy.precedence
        assert self.claims.update(claim.policy) == newer
        if newer:
            self.policies[root] = claim.policy

    @rule(days=st.integers(0, 9))
    def wait(self, days: int) -> None:
        self.now_unix_s += days * 86400.0

    @rule()
    def restart(self) -> None:
        self.claims = Claims(self.table, own=OWN)

    # --- what holds -------------------------------------------------------------------------

    @invariant()
    def charged_as_if_all_were_counted(self) -> None:
        assert self.claims.ledger_bytes() == sum(each.ledger_bytes for each in self.all())
        for owner in OWNERS:
            for origin in ORIGINS:
                found = self.claims.usage(owner, origin, self.now_unix_s)
                assert found == self.expected(owner, origin, self.all())

    @invariant()
    def but_one_as_if_it_were_not_there(self) -> None:
        for unit, owner, root in {*self.real, *self.begun}:
            for origin in ORIGINS:
                found = self.claims.usage(owner, origin, self.now_unix_s, but=(unit, root))
                rest = [each for each in self.all() if key_of(each) != (unit, owner, root)]
                others = [c for c in rest if (c.unit, c.policy.owner) == (unit, owner)]
                rows_alone = [replace(c, stored_bytes=0, size_bytes=0) for c in others]
                left = [c for c in rest if c not in others] + rows_alone
                want = self.expected(owner, origin, left)
                assert found.owner_bytes == want.owner_bytes
                assert found.origin_bytes == want.origin_bytes
                assert found.newcomers_bytes == want.newcomers_bytes
                assert found.roots == len(others)
                same = [c for c in self.all() if (c.unit, c.policy.owner) == (unit, owner)]
                assert counted(found) == self.units_without(same, origin)

    @invariant()
    def but_one_unit_by_its_key(self) -> None:
        for unit, owner, _ in {*self.real, *self.begun}:
            for origin in ORIGINS:
                found = self.claims.usage(owner, origin, self.now_unix_s, key=dht_key(unit))
                same = [c for c in self.all() if (c.unit, c.policy.owner) == (unit, owner)]
                rows_alone = [replace(c, stored_bytes=0, size_bytes=0) for c in same]
                left = [c for c in self.all() if c not in same] + rows_alone
                want = self.expected(owner, origin, left)
                units, origin_units, newcomers_units = self.units_without(same, origin)
                assert found == replace(
                    want,
                    roots=len(same),
                    units=units,
                    origin_units=origin_units,
                    newcomers_units=newcomers_units,
                )

    @invariant()
    def pending_claims_are_charged_and_nothing_else(self) -> None:
        assert {key_of(each): each for each in self.claims.pending()} == self.begun
        kept = {c.unit for c in self.real.values() if self.active(c)}
        assert {each.unit for each in self.claims.units_kept(self.now_unix_s)} == kept
        assert self.claims.count_kept(self.now_unix_s) == len(kept)
        assert {u for u in UNITS if self.claims.kept(u, self.now_unix_s)} == kept

    @invariant()
    def nothing_is_remembered_of_owners_without_a_claim(self) -> None:
        groups = {(each.unit, each.policy.owner) for each in self.all()}
        assert self.table.count(b"charge/") == len(groups)
        assert {key.removeprefix(b"owner/") for key, _ in self.table.scan(b"owner/")} == set(
            self.met
        )

    # --- by going through all ---------------------------------------------------------------

    def all(self) -> list[Claim]:
        return [*self.real.values(), *self.begun.values()]

    def active(self, claim: Claim) -> bool:
        policy = self.policies[claim.policy.owner, claim.policy.root]
        return policy.active(self.now_unix_s)

    def owned(self, owner: bytes) -> bool:
        return any(each.policy.owner == owner for each in self.all())

    def forget_strangers(self) -> None:
        self.met = {owner: met for owner, met in self.met.items() if self.owned(owner)}

    def new(self, owner: bytes) -> bool:
        met = self.met.get(owner)
        return met is not None and met[0] + NEWCOMER_AGE_S > self.now_unix_s

    def units_without(self, gone: list[Claim], origin: str) -> tuple[int, int, int]:
        """How many there are, of that origin, and of newcomers: each once for each owner."""
        left = [c for c in self.all() if c not in gone and c.policy.owner != OWN]
        units = {(each.unit, each.policy.owner) for each in left}
        brought = {(each.unit, each.policy.owner) for each in left if each.origin == origin}
        return len(units), len(brought), sum(self.new(owner) for _, owner in units)

    def expected(self, owner: bytes, origin: str, charged: list[Claim]) -> Usage:
        owners = {each.policy.owner for each in self.all()}
        newcomers = [each for each in owners if self.new(each)]
        known = owner in owners
        units, origin_units, newcomers_units = self.units_without([], origin)
        return Usage(
            units=units,
            origin_units=origin_units,
            newcomers_units=newcomers_units,
            owner_bytes=charge([c for c in charged if c.policy.owner == owner]),
            origin_bytes=charge([c for c in charged if c.origin == origin]),
            newcomers_bytes=charge([c for c in charged if c.policy.owner in newcomers]),
            owners=len(owners),
            newcomers=len(newcomers),
            origin_newcomers=sum(self.met[each][1] == origin for each in newcomers),
            known=known,
            new=not known or self.new(owner),
        )


def counted(usage: Usage) -> tuple[int, int, int]:
    return usage.units, usage.origin_units, usage.newcomers_units


def charge(claims: list[Claim]) -> int:
    """Each unit once for each owner, and each row."""
    units = {(each.unit, each.policy.owner): each.charged_bytes for each in claims}
    return sum(units.values()) + sum(each.ledger_bytes for each in claims)


class SqliteClaimsModel(ClaimsModel):
    """The same in a file, which a restart opens anew."""

    def new_table(self) -> KeyValue:
        self.directory = Path(tempfile.mkdtemp(dir=base_in_memory()))
        return SqliteKeyValue(self.directory / "ledger.sqlite")

    @rule()
    def restart(self) -> None:
        self.table.close()
        self.table = SqliteKeyValue(self.directory / "ledger.sqlite")
        self.claims = Claims(self.table, own=OWN)

    def teardown(self) -> None:
        self.table.close()
        shutil.rmtree(self.directory)


TestClaimsInMemory = ClaimsModel.TestCase
TestClaimsInAFile = SqliteClaimsModel.TestCase
TestClaimsInMemory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestClaimsInAFile.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
