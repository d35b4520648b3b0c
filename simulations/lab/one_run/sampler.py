"""Metrics of a world: some many times a run, some at its end."""

from __future__ import annotations

import asyncio

from simulations.lab.one_run.world import World
from simulations.nodes.population import Member
from simulations.results.summary import quantile

_SAMPLES_PER_RUN = 60
_ROUNDING = 1e-6
_COPIES = (("fewest", 0.0), ("lower quartile", 0.25), ("median", 0.5))


class Sampler:
    """Samples go to the world's recorder."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        """Sample until the scenario's end."""
        world, run = self._world, self._world.scenario.run
        width_s, sent = run.sample_every or run.duration_s / _SAMPLES_PER_RUN, _sent(world)
        for _ in range(int(run.duration_s / width_s + _ROUNDING)):
            await asyncio.sleep(width_s)
            up = len(world.population.up())
            self._sample("nodes_up", up)
            for group, count in self._up_by_group().items():
                self._sample("nodes_up_of_group", count, group)
            self._sample("datagrams_per_node_s", (_sent(world) - sent) / width_s / max(1, up))
            sent = _sent(world)
            copies = sorted(world.view.copies())
            for label, share in _COPIES if copies else ():
                self._sample("replicas", quantile(copies, share), label)
            self._honest_copies()

    def _honest_copies(self) -> None:
        world = self._world
        copies = sorted(world.view.copies(honest=True)) if world.scenario.adversary.attacks else []
        for label, share in _COPIES if copies else ():
            self._sample("honest_replicas", quantile(copies, share), label)

    def _up_by_group(self) -> dict[str, int]:
        """None without groups."""
        found = {group.name: 0 for group in self._world.scenario.groups if group.name}
        for member in self._world.population.up() if found else ():
            found[member.group] = found.get(member.group, 0) + 1
        return found

    def at_end(self) -> None:
        """What is known of the whole run."""
        self._bucket_fill()
        for member in self._world.population.members:
            self._traffic(member)
        for kind, count in sorted(self._world.network.sent_by_kind.items()):
            self._sample("messages", count, kind)

    def _bucket_fill(self) -> None:
        up = self._world.population.up()
        totals: list[int] = []
        for member in up:
            sizes = member.running.dht.table().sizes()
            totals += [0] * (len(sizes) - len(totals))
            for index, size in enumerate(sizes):
                totals[index] += size
        for index, total in enumerate(totals):
            self._sample("bucket_fill", total / len(up), str(index))

    def _traffic(self, member: Member) -> None:
        machine, label = self._world.network.machine(member.address), str(member.number)
        lasted_s = max(self._world.loop.time(), 1e-9)
        self._sample("node_sent_bytes_per_s", machine.sent_bytes / lasted_s, label)
        self._sample("node_received_bytes_per_s", machine.received_bytes / lasted_s, label)

    def _sample(self, metric: str, value: float, label: str = "") -> None:
        self._world.recorder.sample(self._world.loop.time(), metric, value, label)


def _sent(world: World) -> int:
    return world.network.sent_datagrams
