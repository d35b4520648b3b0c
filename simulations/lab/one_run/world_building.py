"""The network and the machines that a scenario describes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from dhtstore.node.ports import NodeSettings
from simulations.nodes.population import Member
from simulations.scenario import Scenario
from simulations.sections.disk import DiskSettings
from simulations.sections.group import NodeGroup, centres
from simulations.sections.network import NetworkSettings
from simulations.sections.run import RunSettings
from simulations.seeds import derived_seed
from simulations.world.files.write_cache import Luck
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.bursts import Bursts
from simulations.world.network.congestion import CONGESTIONS
from simulations.world.network.latency import (
    CoordinateLatency,
    FixedLatency,
    Latency,
    MatrixLatency,
    UniformLatency,
)
from simulations.world.network.network import SimNetwork
from simulations.world.ports.real_disk import RealDisks


def latency_of(scenario: Scenario, seed: int, folder: Path) -> Latency:
    """The scenario's model of distance; a matrix is looked for in ``folder``."""
    settings = scenario.network
    if settings.latency == "fixed":
        return FixedLatency(settings.fixed_s)
    if settings.latency == "uniform":
        return UniformLatency(seed, settings.low_s, settings.high_s)
    if settings.latency == "matrix":
        return MatrixLatency.load(folder / settings.matrix_file, seed, settings.matrix_unit)
    return CoordinateLatency(seed, centres([group.own for group in scenario.groups]))


def disturb(network: SimNetwork, settings: NetworkSettings) -> None:
    """What befalls each datagram on its way."""
    network.loss, network.jitter = settings.loss, settings.jitter
    network.duplicate, network.reorder = settings.duplicate, settings.reorder
    network.mtu_bytes = settings.mtu_bytes
    network.bursts = _bursts(settings, network.rng)
    network.congestion = CONGESTIONS[settings.congestion]


def _bursts(settings: NetworkSettings, rng: random.Random) -> Bursts | None:
    if not (settings.loss and settings.loss_burst_s):
        return None
    return Bursts(rng, settings.loss, settings.loss_burst_s, settings.loss_in_burst)


def files_of(settings: DiskSettings, seed: int, loop: VirtualLoop) -> RealDisks | None:
    """What real disks are made by; None where they are memory."""
    if settings.kind != "real":
        return None
    luck = Luck(settings.unsynced_lost, settings.torn)
    return RealDisks(seed, luck, settings.pack_size_bytes, loop.time)


def settings_of_nodes(scenario: Scenario, seed: int) -> Iterator[NodeSettings]:
    """One for each node of the scenario."""
    rng = random.Random(derived_seed(seed, "roles"))
    for group in scenario.groups:
        for _ in group.numbers:
            yield node_settings(group.run, rng)


def node_settings(run: RunSettings, rng: random.Random) -> NodeSettings:
    """A storage node or, with the rest of ``storage_share``, a client."""
    capacity = run.capacity_bytes if rng.random() < run.storage_share else 0
    return NodeSettings(capacity_bytes=capacity, owner_quota_bytes=capacity, replicas=run.replicas)


def move_in(network: SimNetwork, member: Member, group: NodeGroup) -> None:
    """Let a machine be one of that group, in its region and one of its failure domains."""
    address, region = member.address, group.own.region
    member.group, member.domain = group.name, group.domain_of(member.number)
    member.region = region or network.latency.region(address)
    if region:
        network.machine(address).place = network.latency.place(address, region)


def condition(
    network: SimNetwork, member: Member, settings: NetworkSettings, rng: random.Random
) -> None:
    """Bandwidths, NATs and slow links; members of a network that starts are never all hidden."""
    machine = network.machine(member.address)
    machine.up_bytes_per_s = settings.up_bytes_per_s
    machine.down_bytes_per_s = settings.down_bytes_per_s
    if rng.random() < settings.undiallable and member.number:
        machine.hide()
    if rng.random() < settings.slow:
        machine.slowness = settings.slow_factor
