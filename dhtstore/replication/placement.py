"""Where the copies of one unit go: a plan that is a value.

``next`` says what to do now; whoever does it tells the plan what came of it, and gets another
plan.  Nodes near the unit's key are looked up, the closest are met, the best are offered the
unit, and only when enough have reserved are they sent to fetch it.  One that fails then is
replaced.  When a neighbourhood is used up, the next of a few keys derived from the unit's is
looked up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dhtstore.errors import LocalProtocolError
from dhtstore.model.contact import Contact
from dhtstore.model.identity import DhtKey, NodeId, format_node
from dhtstore.params import (
    NODE_ID_BYTES,
    PLACEMENT_KEYS_MAX,
    PLACEMENT_STEADINESS,
    REPAIR_STEADINESS,
)
from dhtstore.replication.ranking import (
    UNKNOWN,
    Candidate,
    Domain,
    Merit,
    Stage,
    explained,
    nearest,
    passed_over,
    rank,
)


@dataclass(frozen=True, slots=True)
class Look:
    """Look up the nodes closest to ``key`` and tell ``found``."""

    key: DhtKey


@dataclass(frozen=True, slots=True)
class Meet:
    """Connect to each of ``contacts`` and tell ``met`` or ``unreached``."""

    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class OfferTo:
    """Offer the unit to each of ``candidates`` and tell ``reserved``, ``refused`` or
    ``unreached``."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class CopyTo:
    """Let each of ``candidates`` fetch the unit and tell ``held`` or ``failed``, and before that
    ``copied`` as it proceeds."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until one of those that fetch the unit has ended."""


@dataclass(frozen=True, slots=True)
class Done:
    """There are enough copies, or nobody is left to ask."""


Action = Look | Meet | OfferTo | CopyTo | Wait | Done
NOTHING_KNOWN: Final[Mapping[NodeId, Merit]] = {}


@dataclass(frozen=True, slots=True)
class Placement:
    """The copies of the unit behind ``key``: ``wanted`` altogether.

    ``here`` is the node that places, which is never a candidate; ``own_domain`` the failure
    domain of the copy that it holds itself, None if it holds none.  ``unmet`` are nodes whose
    failure domain must be asked for before they can be ranked.  ``candidates`` stand in the
    order in which something last became of them; ``merits`` are what is known of any of them.
    ``repairing`` is whether the unit is short of copies, ``moving`` whether the copy here goes once
    there is another.
    """

    key: DhtKey
    wanted: int
    here: NodeId
    own_domain: Domain | None = None
    lookups: int = 0
    unmet: tuple[Contact, ...] = ()
    candidates: Mapping[NodeId, Candidate] = field(default_factory=dict)
    merits: Mapping[NodeId, Merit] = field(default_factory=dict)
    repairing: bool = False
    moving: bool = False

    # --- what to do -------------------------------------------------------------------------

    def next(self, busy: Collection[NodeId] = ()) -> Action:
        """What to do now; ask again when all of the last has been told.  ``busy`` are those that
        fetch the unit already: one of them that fails is replaced while the others go on."""
        reserved, open_ = self.at(Stage.RESERVED), self.at(Stage.FOUND)
        short = self.missing - len(reserved)
        ready = tuple(each for each in reserved if each.node not in busy)
        if self.missing <= 0:
            return Done()
        if short > 0 and self.unmet:
            return Meet(self.unmet)
        if short > 0 and open_:
            return OfferTo(self._best(open_, short))
        if ready:
            return CopyTo(ready)
        if short > 0 and self.lookups < PLACEMENT_KEYS_MAX:
            return Look(nth_key(self.key, self.lookups))
        return Wait() if reserved else Done()

    @property
    def missing(self) -> int:
        """How many copies are still wanted."""
        own = self.own_domain is not None
        return self.wanted - own - len(self.at(Stage.HELD))

    def at(self, stage: Stage) -> tuple[Candidate, ...]:
        return tuple(each for each in self.candidates.values() if each.stage is stage)

    @property
    def passed_over(self) -> list[Candidate]:
        """Those that were found and never asked, with the reason."""
        return passed_over(nearest(self.at(Stage.FOUND), self.key, self._steadiness))

    def _best(self, open_: Sequence[Candidate], count: int) -> tuple[Candidate, ...]:
        taken = self._taken_domains()
        best = rank(open_, self.key, taken, count, self._steadiness)
        return tuple(explained(best, taken))

    @property
    def _steadiness(self) -> int:
        return REPAIR_STEADINESS if self.repairing else PLACEMENT_STEADINESS

    def _taken_domains(self) -> list[Domain]:
        own = [] if self.own_domain is None else [self.own_domain]
        return own + [each.domain for each in (*self.at(Stage.HELD), *self.at(Stage.RESERVED))]

    # --- what came of it --------------------------------------------------------------------

    def only(self, contacts: Iterable[Contact]) -> Placement:
        """The same where just these are asked."""
        more = {each.node: Candidate(each) for each in contacts}
        candidates = {**self.candidates, **more}
        return replace(self, lookups=PLACEMENT_KEYS_MAX, candidates=candidates, repairing=False)

    def only_to(self, contact: Contact) -> Placement:
        """The same for one copy more at just that node, which moves there."""
        return replace(self.only([contact]), moving=True)

    def found(
        self, contacts: Iterable[Contact], merits: Mapping[NodeId, Merit] = NOTHING_KNOWN
    ) -> Placement:
        """``contacts``, and what is known of them.  Twice as many as could be needed are met before
        they are ranked: a failure domain's label is in the record that a node shows when connected
        to."""
        known = {self.here, *self.candidates, *(contact.node for contact in self.unmet)}
        new = [each for each in contacts if each.storage and each.node not in known]
        ranked = nearest(
            (Candidate(one, merit=merits.get(one.node, UNKNOWN)) for one in new),
            self.key,
            self._steadiness,
        )
        close, further = ranked[: 2 * self.wanted], ranked[2 * self.wanted :]
        return replace(
            self,
            lookups=self.lookups + 1,
            unmet=(*self.unmet, *(one.contact for one in close)),
            candidates={**self.candidates, **{one.node: one for one in further}},
            merits={**self.merits, **{one.node: one.merit for one in close}},
        )

    def met(
        self, node: NodeId, label: str, room_bytes: int | None = None, *, donor: bool = False
    ) -> Placement:
        """It can be connected to; ``label`` is what its record says of its failure domain,
        ``room_bytes`` of its disk, for where nothing better is known, and whether it is a
        ``donor``."""
        merit = replace(self.merits.get(node, UNKNOWN), donor=donor and self.repairing)
        if merit.room_bytes is None:
            merit = replace(merit, room_bytes=room_bytes)
        return self._with(Candidate(self._unmet(node), label, merit=merit))

    def unreached(self, node: NodeId, why: str) -> Placement:
        """It could not be connected to, for meeting it or for an offer."""
        met = node in self.candidates
        candidate = self._found(node) if met else Candidate(self._unmet(node))
        return self._with(replace(candidate, stage=Stage.UNREACHED, why=why))

    def refused(self, node: NodeId, why: str, code: str = "") -> Placement:
        """It does not take the unit, for the reason behind ``code``."""
        return self._with(replace(self._found(node), stage=Stage.REFUSED, why=why, code=code))

    def reserved(self, node: NodeId, label: str) -> Placement:
        """It has set room aside."""
        return self._with(replace(self._found(node), stage=Stage.RESERVED, label=label))

    def copied(self, node: NodeId, copied_bytes: int) -> Placement:
        """It has so much of the unit by now."""
        return self._with(replace(self._reserved(node), copied_bytes=copied_bytes))

    def held(self, node: NodeId) -> Placement:
        """It gave a receipt that was checked."""
        return self._with(replace(self._reserved(node), stage=Stage.HELD))

    def failed(self, node: NodeId, why: str, code: str = "") -> Placement:
        """It had reserved and gave no receipt that can be believed; ``code`` is that of a refusal
        that came so late."""
        return self._with(replace(self._reserved(node), stage=Stage.FAILED, why=why, code=code))

    def _with(self, candidate: Candidate) -> Placement:
        """The candidate as it is now, as the last of all."""
        node = candidate.node
        others = {key: each for key, each in self.candidates.items() if key != node}
        unmet = tuple(contact for contact in self.unmet if contact.node != node)
        return replace(self, unmet=unmet, candidates={**others, node: candidate})

    def _unmet(self, node: NodeId) -> Contact:
        for contact in self.unmet:
            if contact.node == node:
                return contact
        raise LocalProtocolError(f"node {format_node(node)} was not to be met")

    def _found(self, node: NodeId) -> Candidate:
        return self._being(node, Stage.FOUND)

    def _reserved(self, node: NodeId) -> Candidate:
        return self._being(node, Stage.RESERVED)

    def _being(self, node: NodeId, stage: Stage) -> Candidate:
        candidate = self.candidates.get(node)
        if candidate is None or candidate.stage is not stage:
            raise LocalProtocolError(f"node {format_node(node)} is not {stage}")
        return candidate


def nth_key(key: DhtKey, number: int) -> DhtKey:
    """The unit's key, and further ones derived from it for when its neighbourhood is full."""
    for _ in range(number):
        digest = hashlib.sha256(b"dhtstore/placement/1\0" + key).digest()
        key = DhtKey(digest[:NODE_ID_BYTES])
    return key
