"""Where a fetch finds links to the holders of a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dhtstore.model.unit import Unit
from dhtstore.node.links.link import Link


@dataclass(frozen=True, slots=True)
class Found:
    """Links to holders, and for each provider that could not be reached why (node -> cause)."""

    links: Sequence[Link]
    causes: Mapping[str, str] = field(default_factory=dict)


class Sources(Protocol):
    async def for_unit(self, unit: Unit) -> Found:
        """Look for holders of a unit; asked again when those found before are used up.

        Nobody found at all is an empty ``Found``, not an error.
        """


@dataclass(frozen=True, slots=True)
class FixedSources:
    """These links and no others, whatever the unit."""

    links: Sequence[Link]

    async def for_unit(self, unit: Unit) -> Found:
        return Found([link for link in self.links if link.alive])
