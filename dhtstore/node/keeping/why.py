"""why: what keeps a block here.

data path: CID -> is it here? -> every unit that is kept, pinned root, running put and cached root
is walked until it is met -> the reasons.  Bounded: WHY_BLOCKS_MAX blocks are looked at in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from dhtstore.content.dag.dag_walk import DagWalk
from dhtstore.content.dag.here_walk import HereWalk
from dhtstore.content.dag.local import blocks_met
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import DhtstoreError, NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.net.ports import Clock
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.copies.kept import unit_of_claim
from dhtstore.node.keeping.collector import Collector
from dhtstore.node.keeping.staging import Staging
from dhtstore.operations.keeping import KeepKind, KeepReason, WhyResult
from dhtstore.operations.moment import Moment
from dhtstore.params import MARKED_AT_ONCE, WHY_BLOCKS_MAX, WHY_REASONS_MAX
from dhtstore.store.blocks.contract import BlockStore
from dhtstore.store.ledger.claims import STANDING


@dataclass(frozen=True, slots=True)
class Why:
    disk: Disk
    ledger: Ledger
    clock: Clock
    staging: Staging
    collector: Collector

    async def of(self, cid: Cid) -> WhyResult:
        """Raises NotHere."""
        run = self.disk.blocking.run
        size_bytes = (await run(self.disk.store.sizes, [cid]))[0]
        if size_bytes is None:
            raise NotHere(f"the block {cid} is not here")
        putting = list(self.staging.putting)
        search = _Search(self.disk.store, self.ledger, cid, self.clock.unix_s(), putting)
        while await run(search.more):
            pass
        since = self.collector.left_unix_s
        garbage = not search.reasons and search.complete
        return WhyResult(
            cid=str(cid),
            size=size_bytes,
            reasons=search.reasons,
            complete=search.complete,
            garbage=garbage,
            since=Moment.at(since) if garbage and since else None,
        )


@dataclass(slots=True)
class _Search:
    """``more`` until it is False.  ``complete`` unless it was cut short, or blocks above were not
    to be read."""

    store: BlockStore
    ledger: Ledger
    cid: Cid
    now_unix_s: float
    putting: list[Cid]
    reasons: list[KeepReason] = field(default_factory=list)
    complete: bool = True
    _looked: int = 0
    _steps: Iterator[None] = field(init=False)

    def __post_init__(self) -> None:
        self._steps = self._all()

    def more(self) -> bool:
        """Go on for some milliseconds; whether anything is left."""
        some = sum(1 for _ in islice(self._steps, MARKED_AT_ONCE))
        self._looked += some
        if self._looked >= WHY_BLOCKS_MAX or len(self.reasons) >= WHY_REASONS_MAX:
            self.complete = False
            return False
        return some == MARKED_AT_ONCE

    def _all(self) -> Iterator[None]:
        for root in self.putting:
            yield from self._if_below(HereWalk(root), partial(self._tell, "running", root))
        yield from self._pinned()
        yield from self._claimed()
        for entry in self.ledger.cache.oldest_first():
            used = Moment.at(entry.used_unix_s)
            tell = partial(self._tell, "cache", entry.root, used=used)
            yield from self._if_below(HereWalk(entry.root), tell)

    def _pinned(self) -> Iterator[None]:
        for pin in self.ledger.pins.list():
            units = self.ledger.roots.units(pin.cid)
            walks: list[DagWalk] = [UnitWalk(unit) for unit in units]
            kind: KeepKind = "put" if pin.kind == "put" else "pin"
            tell = partial(self._tell, kind, pin.cid, name=pin.name)
            for walk in walks or [HereWalk(pin.cid)]:
                yield from self._if_below(walk, tell)

    def _claimed(self) -> Iterator[None]:
        for claim in self.ledger.claims.units_kept(STANDING):
            unit = unit_of_claim(claim)
            yield from self._if_below(UnitWalk(unit), partial(self._claims_on, unit))

    def _claims_on(self, unit: Unit) -> None:
        for claim in self.ledger.claims.for_unit(unit.name):
            policy = claim.policy
            if claim.spine == unit.spine and policy.active(STANDING):
                owner, expires = policy.owner.hex(), Moment.at_or_never(policy.expires)
                over = not policy.active(self.now_unix_s)
                self._tell("claim", Cid(policy.root), owner=owner, expires=expires, over=over)

    def _if_below(self, walk: DagWalk, then: Callable[[], None]) -> Iterator[None]:
        for cid in blocks_met(self.store, walk, self._lost):
            if cid.multihash == self.cid.multihash:
                then()
                return
            yield

    def _lost(self, cid: Cid, error: DhtstoreError) -> None:
        self.complete = False

    def _tell(
        self,
        kind: KeepKind,
        root: Cid,
        *,
        name: str = "",
        owner: str | None = None,
        expires: Moment | None = None,
        used: Moment | None = None,
        over: bool = False,
    ) -> None:
        reason = KeepReason(kind, str(root), name, owner, expires, used, over)
        if reason not in self.reasons:
            self.reasons.append(reason)
