"""What a Replicate says of the unit that was offered."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.content.dag.units import Lineage
from dhtstore.errors import PeerRefused
from dhtstore.model.cid import Cid
from dhtstore.model.policy import Grant, Policy
from dhtstore.model.signing import unpack
from dhtstore.model.unit import Unit
from dhtstore.node.identity import Identity
from dhtstore.replication.promises import Promise
from dhtstore.wire.frames import Replicate


@dataclass(frozen=True, slots=True)
class Bid:
    """Nothing of it is believed before ``check``."""

    lineage: Lineage
    policy: Policy
    grant: Grant | None = None
    moving: bool = False

    @classmethod
    def of(cls, message: Replicate) -> Bid:
        """Raises InvalidCid, RemoteProtocolError, PeerRefused.  For worker threads: of thousands
        of roots each is read and hashed."""
        roots = tuple(Cid.decode(raw) for raw in message.roots)
        if any(root.inlined is not None for root in roots):
            why = "a root that carries its content in its name needs no holder"
            raise PeerRefused("roots", why)
        policy = unpack(Policy, message.policy)
        Cid.decode(policy.root)  # claims are kept under it: nothing else may stand there
        name = b"" if message.path else policy.root  # of what the root itself names
        unit = Unit.named(name, roots, message.size, spine=message.spine)
        grant = None if message.grant is None else unpack(Grant, message.grant)
        lineage = Lineage(unit, tuple(Cid.decode(raw) for raw in message.path))
        return cls(lineage, policy, grant, message.moving)

    @property
    def unit(self) -> Unit:
        return self.lineage.unit

    @property
    def root(self) -> Cid:
        return Cid(self.policy.root)

    @property
    def claimed(self) -> tuple[bytes, bytes]:
        """The unit and the root that it is to be claimed for."""
        return self.unit.name, self.policy.root

    def check(self, promise: Promise, identity: Identity) -> None:
        """Raises PeerRefused unless it is what was offered, and InvalidSignature."""
        if (self.policy.owner, self.unit.key) != (promise.owner, promise.key):
            raise PeerRefused("unit", "this is not the unit that was offered")
        if not self.lineage.path and self.unit.roots != (self.root,):
            raise PeerRefused("path", "the way from the policy's root to the unit is missing")
        identity.check(self.policy)
        self._check_grant(promise, identity)

    def _check_grant(self, promise: Promise, identity: Identity) -> None:
        grant = self.grant
        if grant is None:
            if promise.granted:
                raise PeerRefused("grant", "the grant that it was offered under is missing")
            return
        said = grant.owner, grant.root, grant.key, grant.stored, grant.blocks
        offered = promise.owner, self.policy.root, promise.key, promise.stored_bytes, promise.blocks
        if said != offered:
            raise PeerRefused("grant", "the grant is for something else")
        identity.check(grant)
