"""Whether a unit belongs to a root: what a holder asks before it believes a policy for a unit.

The blocks on the way from the root down are hashed by who fetches them, and the cut decides which
units their links make.  So a policy can only be used for what its owner signed it for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from dhtstore.content.codec.unixfs import DagNode, read_node
from dhtstore.content.dag.units import Place, cut_node, settle
from dhtstore.content.dag.walk import Want
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import Cid
from dhtstore.model.unit import Unit
from dhtstore.params import BLOCK_SIZE_MAX_BYTES

PLACES_FOLLOWED_MAX = (
    4  # a block may stand in several units of one parent; honest ones in one or two
)


def proof_wants(root: Cid, path: Sequence[Cid], unit: Unit) -> Generator[Want, DagNode, None]:
    """Ends if the blocks of ``path``, from ``root`` down, are cut so that ``unit`` is among what
    lies below the last of them.

    Yields wants for these blocks and is sent what was read of their verified bytes.  A unit that
    is named by the root has no path: its walk tells (``units.whole``).  Raises MalformedDag.
    """
    below: list[tuple[Cid, Place]] = [(root, Place.of_root(root))]
    for sequence, cid in enumerate(path):
        places = [place for here, place in below if here == cid and (place.top or place.unit.spine)]
        if not places:
            raise MalformedDag(f"{cid} does not stand where the way from {root} leads")
        inlined = cid.inlined
        if inlined is None:
            node = yield Want(cid, places[0].unit, BLOCK_SIZE_MAX_BYTES, sequence)
        else:
            node = read_node(cid, inlined)
        below = _below(node, places[:PLACES_FOLLOWED_MAX])
    if not path or not any(place.unit == unit for _, place in below):
        raise MalformedDag(f"the unit that is offered is none of {root}")


def _below(node: DagNode, places: Sequence[Place]) -> list[tuple[Cid, Place]]:
    """The children of a spine block, with the place of each; nothing below other blocks."""
    found: dict[tuple[Cid, bytes, bool], tuple[Cid, Place]] = {}
    for place in places:
        if settle(node, place).unit.spine:
            for link, child in zip(node.links, cut_node(node, place), strict=True):
                found[link.cid, child.unit.name, child.unit.spine] = (link.cid, child)
    return list(found.values())
