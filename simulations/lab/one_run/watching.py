"""An experiment with an onlooker at its network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from dhtstore.model.contact import Address
from simulations.lab.one_run.experiment import Experiment
from simulations.messages.onlooker import Onlooker
from simulations.messages.table import NO_NODE, Numbers, Tell


@contextlib.contextmanager
def watched(experiment: Experiment, teller: Callable[[Numbers], Tell]) -> Iterator[None]:
    """While ``experiment`` runs, each of its exchanges is told, and what is open at the end."""
    world = experiment.world
    members = world.population.members
    found: dict[Address, int] = {}

    def number(address: Address) -> int:
        if address not in found:
            found.update((member.address, member.number) for member in members[len(found) :])
        return found.get(address, NO_NODE)

    onlooker = Onlooker(teller(number))
    world.network.watcher = onlooker
    try:
        yield
    finally:
        onlooker.close(world.loop.time())
