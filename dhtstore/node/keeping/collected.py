"""What a collection removed, or would remove."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.unit import Unit
from dhtstore.node.keeping.marks import Doubt
from dhtstore.operations.keeping import CollectResult, UnknownBelow
from dhtstore.store.ledger.tiers.cache import CacheEntry


@dataclass(frozen=True, slots=True)
class Collected:
    """Garbage, roots of the cache that go and that ``stay``, claims that were over.
    ``freed_bytes`` is what the store takes less than before, ``dead_bytes`` what lies in packs and
    belongs to nothing, now.  Nothing is garbage while there are ``doubts``; ``lost`` as in
    ``Marks``."""

    kept_blocks: int = 0
    garbage_blocks: int = 0
    garbage_bytes: int = 0
    cached: tuple[CacheEntry, ...] = ()
    stay: tuple[CacheEntry, ...] = ()
    claims: int = 0
    freed_bytes: int = 0
    dead_bytes: int = 0
    doubts: tuple[Doubt, ...] = ()
    lost: tuple[Unit, ...] = ()

    def result(self, *, dry_run: bool) -> CollectResult:
        """As ``gc`` tells it."""
        return CollectResult(
            dry_run=dry_run,
            garbage_blocks=self.garbage_blocks,
            garbage=self.garbage_bytes,
            cache_roots=len(self.cached),
            cache=sum(entry.size_bytes for entry in self.cached),
            claims=self.claims,
            kept=self.kept_blocks,
            stay_roots=len(self.stay),
            stay=sum(entry.size_bytes for entry in self.stay),
            freed=self.freed_bytes,
            dead=self.dead_bytes,
            unknown=[
                UnknownBelow(None if each.root is None else str(each.root), each.why)
                for each in self.doubts
            ],
        )
