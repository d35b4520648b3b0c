"""Records of who provides what, and how to reach whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dhtstore.model.identity import PublicKey, node_id
from dhtstore.params import PROVIDER_TTL_S, REPROVIDE_INTERVAL_S
from simulations.checks.checker import Checker, some
from simulations.checks.objects import able_holders
from simulations.checks.world_view import WorldView
from simulations.nodes.insight import KeptRecord

_NODES_MAX, _OBJECTS_MAX, _KEYS_SEEN_MAX = 64, 64, 100_000
_TOLD_WITHIN_S = 60.0  # all that are told of a copy are told in that time
# Of whose copy few index nodes know, finds out within the hour: it looks for the other holders.
_AGAIN_WITHIN_S = 4500.0
_SHARE_MIN = 0.75  # 0.99 and more in the scenarios at hand, partitions included


class RecordsExpire(Checker):
    """No node keeps a provider record past its expiry."""

    name = "records_expire"
    blind_to = (
        "records that vanish too early (records_placed), or were kept too long only between two "
        f"looks; anything in a run shorter than the {PROVIDER_TTL_S / 3600:.0f} h that they live"
    )
    _GRACE_S = 11.0  # what ends together is dropped together, up to 10 s later

    def check(self, world: WorldView) -> list[str]:
        found = []
        for node in world.nodes_up():
            expiries_s = [record.expires_s for record in world.records(node)]
            late = [s for s in expiries_s if s + self._GRACE_S < world.now_s]
            if late:
                oldest_s = world.now_s - min(late)
                found.append(f"node {node} serves {len(late)} expired records, by {oldest_s:.0f} s")
        return found


@dataclass(frozen=True, slots=True)
class _Placed:
    """A holder's record of an object: at how many of the index nodes that were there when it was
    last told it is, and when that was."""

    object: int
    holder: int
    due: int
    kept: int
    told_s: float


class RecordsPlaced(Checker):
    """Of each copy, most of those index nodes keep a record that were closest to its key when it
    was last announced and are there since; and it is announced again in time."""

    name = "records_placed"
    blind_to = (
        "single records, which lost datagrams and partitions keep from single nodes: "
        f"{1 - _SHARE_MIN:.0%} of all may be missing; copies whose holder is down or came back "
        "within the last half hour; index nodes that came later, which learn at the next "
        "announcement, and those that a blocked way or a set clock kept from it; what was "
        f"announced while a fault dropped that, for {_AGAIN_WITHIN_S / 60:.0f} minutes after it; "
        f"all but {_OBJECTS_MAX} objects at each look"
    )
    _SETTLED_S = 1800.0  # after a start everything is announced anew
    _RENEWED_S = REPROVIDE_INTERVAL_S + 3600.0

    def check(self, world: WorldView) -> list[str]:
        placed = list(_placed(world, self._SETTLED_S))
        due, kept = sum(each.due for each in placed), sum(each.kept for each in placed)
        found = [
            f"node {each.holder} did not announce object {each.object} for "
            f"{world.now_s - each.told_s:.0f} s"
            for each in placed
            if world.now_s - max(each.told_s, _since(world, each.holder)) > self._RENEWED_S
        ]
        if kept < _SHARE_MIN * due:
            found.append(f"{kept} of {due} records are where they were stored")
        return found


def _since(world: WorldView, node: int) -> float:
    since_s = world.joined_s(node)
    return world.now_s if since_s is None else since_s


def _placed(world: WorldView, settled_s: float) -> Iterator[_Placed]:
    kept_at: dict[int, dict[tuple[bytes, bytes], KeptRecord]] = {}
    for number, able in able_holders(world, _OBJECTS_MAX):
        put_s = world.journal.acknowledged[number].at_s
        index_nodes = [
            node
            for node in world.index_nodes(number)
            if world.honest(node) and _since(world, node) < world.now_s
        ]
        for node in index_nodes:
            if node not in kept_at:
                kept_at[node] = {(r.key, r.signer): r for r in world.records(node)}
        for holder in able:
            settled = world.now_s - max(_since(world, holder), put_s) > settled_s
            if settled and holder in world.nodes_up():
                placed = _of_holder(world, number, holder, index_nodes, kept_at)
                if placed is not None:
                    yield placed


def _of_holder(
    world: WorldView,
    number: int,
    holder: int,
    index_nodes: list[int],
    kept_at: dict[int, dict[tuple[bytes, bytes], KeptRecord]],
) -> _Placed | None:
    """None if something that was done to them kept all index nodes from hearing of it."""
    name = world.key_of(number), world.holder_id(holder)
    put_s = world.journal.acknowledged[number].at_s
    kept = {node: kept_at[node][name] for node in index_nodes if name in kept_at[node]}
    told_s = max([record.arrived_s for record in kept.values()], default=put_s)
    index_nodes = [
        node for node in index_nodes if not world.kept_apart(holder, node, told_s - _TOLD_WITHIN_S)
    ]
    if not index_nodes:
        return None
    if world.now_s < world.dropped_until_s(told_s - _TOLD_WITHIN_S, told_s) + _AGAIN_WITHIN_S:
        return _Placed(number, holder, 0, 0, told_s)
    due = [node for node in index_nodes if _since(world, node) < told_s - _TOLD_WITHIN_S]
    return _Placed(number, holder, len(due), sum(node in kept for node in due), told_s)


class ProvidersReachable(Checker):
    """Who keeps a record of a provider keeps beside it how that one is reached."""

    name = "providers_reachable"
    blind_to = (
        "whether the address is right; providers that are down or came back within the last half "
        f"hour; {1 - _SHARE_MIN:.0%} of all; all but {_NODES_MAX} nodes at each look"
    )
    _ENOUGH = 10
    _SETTLED_S = 1800.0  # after a start everything is announced anew

    def check(self, world: WorldView) -> list[str]:
        settled = {
            world.holder_id(node): node_id(PublicKey(world.holder_id(node)))
            for node in world.nodes_up()
            if world.now_s - _since(world, node) > self._SETTLED_S
        }
        named = told = 0
        for node in some(world.nodes_up(), _NODES_MAX, world.now_s):
            records = world.records(node)
            contacts = {r.key for r in records if not r.provides and r.expires_s > world.now_s}
            of = [settled.get(r.signer) for r in records if r.serves(world.now_s)]
            named += sum(signer is not None for signer in of)
            told += sum(signer in contacts for signer in of)
        if named < self._ENOUGH or told >= _SHARE_MIN * named:
            return []
        return [f"of {named} records of providers, {told} have an address beside them"]


class RecordsGenuine(Checker):
    """No node keeps a record that its signer did not sign, nor one older than it had before."""

    name = "records_genuine"
    blind_to = (
        "what a node would take from somebody who forges, where nobody does; records that come and "
        f"go between two looks; all but {_NODES_MAX} nodes, the same at each look"
    )

    def check(self, world: WorldView) -> list[str]:
        found = []
        for node in world.nodes_up()[:_NODES_MAX]:
            life = world.life(node)
            for record in world.records(node):
                if not record.genuine():
                    found.append(f"node {node} keeps a record that {record.name} did not sign")
                place = node, life, record.key, record.signer
                seen = world.sequences_seen.get(place, record.sequence)
                if record.sequence < seen:
                    found.append(
                        f"node {node} keeps a record of {record.name} with sequence "
                        f"{record.sequence} and had one with {seen}"
                    )
                elif len(world.sequences_seen) < _KEYS_SEEN_MAX:
                    world.sequences_seen[place] = record.sequence
        return found
