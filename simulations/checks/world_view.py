"""What checkers may ask of a world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dhtstore.model.identity import NodeId
from simulations.checks.journal import PromiseJournal
from simulations.nodes.insight import DiskRoom, IndexAnswer, KeptRecord

RecordPlace = tuple[int, int, bytes, bytes]  # node, its life, key, signer


class WorldView(Protocol):
    """Of machines that are down and up; what must be running is said to be."""

    @property
    def now_s(self) -> float: ...

    @property
    def journal(self) -> PromiseJournal: ...

    @property
    def sequences_seen(self) -> dict[RecordPlace, int]:
        """The highest of each record at earlier looks; for whoever checks them to write."""

    # --- machines ---------------------------------------------------------------------------

    def nodes_up(self) -> Sequence[int]:
        """Numbers of the nodes that run, without adversaries, whom nobody holds to anything."""

    def joined_s(self, node: int) -> float | None:
        """Since when it is in the network and others can reach it; None while it is not."""

    def dead_s(self, contact: NodeId) -> float:
        """For how long nobody has run under that id, nor answered for it; 0 while somebody does."""

    def honest(self, node: int) -> bool:
        """False for nodes that lie by design, and for adversaries."""

    def kept_apart(self, one: int, other: int, since_s: float) -> bool:
        """Whether something that was done to them kept what one says from the other, at that time
        or later: a way that is blocked in either direction, a clock that was set."""

    def dropped_until_s(self, from_s: float, to_s: float) -> float:
        """When a fault ended that dropped what was announced in that time; -inf without one."""

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        """Tasks of nodes that do not run any more, by node."""

    # --- disks ------------------------------------------------------------------------------

    def has_disk(self, node: int) -> bool:
        """Whether its data survives: it runs, or will start again with its disk."""

    def damaged(self, node: int, object_number: int) -> bool:
        """Whether a fault took blocks of that object from this node after it was stored."""

    def holds(self, node: int, object_number: int) -> bool:
        """Whether every block of the object can be read there and is right."""

    def claims(self, node: int, object_number: int) -> bool:
        """Whether its ledger says to keep the object."""

    def let_go(self, node: int, object_number: int) -> bool:
        """Whether its events say that its copy went since there were enough others."""

    def pinned(self, node: int, object_number: int) -> bool:
        """Whether its ledger has a pin of the object that a put made."""

    def served_bytes(self, node: int) -> int:
        """Of blocks, sent by a running node since it started."""

    def claimed_in_vain(self, node: int, at_most: int) -> Sequence[str]:
        """Of the first units that its ledger says to keep, those of which blocks are missing that
        no fault took."""

    def disk_faults(self) -> Sequence[str]:
        """What could not be opened after a crash, and where."""

    def room(self, node: int) -> DiskRoom:
        """How full the disk of a running node is, by the node's own count and in truth."""

    # --- the DHT ----------------------------------------------------------------------------

    def node_id(self, node: int) -> NodeId: ...

    def buckets(self, node: int) -> Sequence[tuple[int, int, Sequence[NodeId]]]:
        """Of a running node's table: lowest id, highest id and members of each bucket."""

    def life(self, node: int) -> int:
        """Which start of the machine runs."""

    def records(self, node: int) -> Sequence[KeptRecord]:
        """All that a running node keeps, provider records first; times in virtual seconds."""

    def answer(self, node: int, target: bytes) -> IndexAnswer:
        """What a running node would answer to who asks for providers of ``target``."""

    def key_of(self, object_number: int) -> bytes:
        """The DHT key of an acknowledged object."""

    def index_nodes(self, object_number: int) -> Sequence[int]:
        """The machines among the K ids, of those that there are, up or down, and of those that
        adversaries made up, that are closest to its key."""

    def holder_id(self, node: int) -> bytes:
        """The public key that its records are signed by."""
