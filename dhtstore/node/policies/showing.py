"""policy: what this node's owner wants for a root, as people read it."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Policy
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.policies.changing import FOREVER, Changed, PolicyChanges, unknown_policy
from dhtstore.operations.keeping import PolicyInfo, SetPolicy
from dhtstore.operations.moment import Moment


async def policy_of_root(
    changes: PolicyChanges, session: FetchSession, root: Cid, asked: SetPolicy
) -> PolicyInfo:
    """Told, or changed and told.  Raises NotFound, and UsageError for what was removed."""
    if asked.replicas is None and asked.ttl_s is None:
        policy = await changes.book.known(root)
        if policy is None:
            raise unknown_policy(root)
        return _info(policy, None)
    changed = await changes.change(session, root, asked.replicas, _expires(changes, asked))
    return _info(changed.policy, changed)


def _expires(changes: PolicyChanges, asked: SetPolicy) -> int | None:
    if asked.ttl_s is None:
        return None
    return int(changes.book.clock.unix_s() + asked.ttl_s) if asked.ttl_s else FOREVER


def _info(policy: Policy, changed: Changed | None) -> PolicyInfo:
    return PolicyInfo(
        cid=str(Cid(policy.root)),
        owner=policy.owner.hex(),
        replicas=policy.replicas,
        expires=Moment.at(policy.expires) if policy.expires else None,
        removed=policy.removed,
        signed=Moment.at(_signed_unix_s(policy)),
        changed=changed is not None,
        told=len(changed.told.told) if changed else 0,
        unreached=len(changed.told.unreached) if changed else 0,
        lacking=len(changed.told.lacking) if changed else 0,
        stored=changed.stored if changed else False,
    )


def _signed_unix_s(policy: Policy) -> float:
    """Sequences were seconds before they were milliseconds."""
    return policy.sequence / 1000 if policy.sequence >= 10**11 else policy.sequence
