"""``python -m benchmarks.announcing``: all of a library announced again in a network, in virtual
time: lookups, datagrams, bytes and memory, and where the records came to be."""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
import tracemalloc
from collections.abc import Sequence

from benchmarks.announcing.network import IndexNode, NodesOnly
from dhtstore.model.cid import Cid
from dhtstore.model.identity import dht_key
from dhtstore.node.duties.announcing.line import KeyLine
from dhtstore.node.duties.announcing.progress import CycleProgress
from dhtstore.params import K
from simulations.world.loop.virtual_loop import run

_KEYS_CHECKED = 1000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cids", type=int, default=100_000)
    options.add_argument("--nodes", type=int, default=1000)
    options.add_argument("--seed", type=int, default=101)
    chosen = options.parse_args()
    world = NodesOnly(chosen.nodes, chosen.seed)
    print(json.dumps(run(_measure(world, chosen.cids), world.loop), indent=1))


async def _measure(world: NodesOnly, cids: int) -> dict[str, object]:
    await world.grow()
    publisher = world.nodes[len(world.nodes) // 2]
    duty = publisher.library(cids)
    flow, sent = publisher.dht.rpc.channel.flow, world.net.sent_datagrams
    before = flow.packets_out, flow.packets_in, flow.bytes_out, flow.bytes_in
    began_s, cpu_s = world.loop.time(), time.process_time()
    taken = await duty.announce_all()
    packets_out, packets_in, bytes_out, bytes_in = (
        now - was
        for now, was in zip(
            (flow.packets_out, flow.packets_in, flow.bytes_out, flow.bytes_in), before, strict=True
        )
    )
    result: dict[str, object] = {
        "cids": cids,
        "nodes": len(world.nodes),
        "seed": world.seed,
        "taken": taken,
        "lookups": duty.lookups,
        "allowed_lookups": 2 * len(world.nodes) // K,
        "publisher_datagrams_out": packets_out,
        "publisher_datagrams_in": packets_in,
        "datagrams_a_cid": round((packets_out + packets_in) / cids, 2),
        "all_datagrams": world.net.sent_datagrams - sent,
        "publisher_bytes_out": bytes_out,
        "publisher_bytes_in": bytes_in,
        "virtual_s": round(world.loop.time() - began_s),
        "cpu_s": round(time.process_time() - cpu_s),
        "placed": _placed(world.nodes, cids),
        "records_of_a_node_max": max(node.dht.records_held for node in world.nodes),
        "process_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "names_in_memory_mib": round(_names_mib(cids), 1),
    }
    await world.stop()
    return result


def _placed(nodes: Sequence[IndexNode], cids: int) -> float:
    """Which part of the records of some keys is at the K nodes that are really closest."""
    rng = random.Random(1)
    keys = [dht_key(_name(number)) for number in rng.sample(range(cids), min(cids, _KEYS_CHECKED))]
    wanted, tables = set(keys), [node.dht.rpc.table.node for node in nodes]
    held = {
        (one.key, node.identity.node)
        for node in nodes
        for one in node.dht.records()
        if one.key in wanted
    }
    found = 0
    for key in keys:
        target = int.from_bytes(key, "big")
        closest = sorted(tables, key=lambda node: node.long_id ^ target)[:K]
        found += sum((key, node.id) in held for node in closest)
    return round(found / (min(K, len(nodes)) * len(keys)), 5)


def _name(number: int) -> bytes:
    return Cid.of(b"%d" % number).raw


def _names_mib(cids: int) -> float:
    """What the list of all names takes while a sweep goes on."""
    tracemalloc.start()
    names = [_name(number) for number in range(cids)]
    KeyLine(CycleProgress()).set(names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


if __name__ == "__main__":
    main()
