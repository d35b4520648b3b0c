"""What commands print with --json that is no result of an operation as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dhtstore.operations.explaining.report import FetchReport

if TYPE_CHECKING:
    from dhtstore.model.identity import PublicKey
    from dhtstore.node.flows.join import Joined
    from dhtstore.operations.content import GetResult
    from dhtstore.operations.nodes import NodeIdentity


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """``join``: the node that serves now, as ``id`` tells it, and its data directory.

    It gives ``capacity`` bytes, 0 for none, to whom ``accept`` says.  ``answered`` peers replied to
    it; ``causes`` says why a seed was of no use (seed -> reason); ``pinned`` are the keys (hex) of
    seeds that were given as HOST:PORT and met for the first time (seed -> key)."""

    node: str
    public_key: str
    owner: str
    network: str
    addresses: list[str]
    ticket: str
    home: str
    capacity: int
    accept: str
    answered: int
    causes: dict[str, str]
    pinned: dict[str, str]


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """``get``: ``cid`` is what was written to ``output`` ("-" for standard output), not the root
    it was found under; ``size`` its bytes.

    ``holders`` are the nodes that blocks came from or that were connected to for them; ``causes``
    says why others could not be (node -> reason); ``report`` what was done, lookup by lookup and
    holder by holder; ``cached`` if all of it stays here until room is wanted."""

    cid: str
    size: int
    output: str
    holders: list[str]
    causes: dict[str, str]
    report: FetchReport
    cached: bool


class Version(msgspec.Struct, frozen=True):
    """``version``: of this program, of the protocol it speaks, and of Python."""

    version: str
    protocol: int
    python: str


class OwnerName(msgspec.Struct, frozen=True):
    """``owner import``: the owner's public key in hex."""

    owner: str


class OwnerKey(msgspec.Struct, frozen=True):
    """``owner export``: the owner's public key in hex, and what ``owner import`` takes.  Whoever
    has ``private_key`` can put as this owner."""

    owner: str
    private_key: str


def serving(
    told: NodeIdentity,
    joined: Joined,
    pinned: Mapping[str, PublicKey],
    *,
    home: Path,
    capacity_bytes: int,
    accept: str,
) -> Serving:
    """Of a node that has joined."""
    return Serving(
        node=told.node,
        public_key=told.public_key,
        owner=told.owner,
        network=told.network,
        addresses=told.addresses,
        ticket=told.ticket,
        home=str(home),
        capacity=capacity_bytes,
        accept=accept,
        answered=joined.answered,
        causes=dict(joined.failures),
        pinned={seed: key.hex() for seed, key in pinned.items()},
    )


def got_to(output: str, result: GetResult) -> Got:
    """What was written to a path."""
    return Got(
        cid=result.cid,
        size=result.size,
        output=output,
        holders=result.holders,
        causes=result.causes,
        report=result.report,
        cached=result.cached,
    )
