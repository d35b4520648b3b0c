"""The hooks: machines that come, die, sleep, are shut out, or show another time; samples."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterable, Sequence

from dhtstore.errors import DhtstoreError
from simulations.events.damage import DamageRecord
from simulations.lab.one_run.recorder import Recorder
from simulations.lab.one_run.world_building import condition, move_in, node_settings
from simulations.nodes.population import Member, Nap, Population
from simulations.nodes.sleep import fall_asleep, wake
from simulations.nodes.warm_start import start_known
from simulations.scenario import Scenario
from simulations.sections.group import NodeGroup
from simulations.seeds import derived_seed
from simulations.world.loop.virtual_loop import VirtualLoop
from simulations.world.network.network import SimNetwork

Some = Member | Iterable[Member]


class Hooks:
    """What a scenario's own code may do to its world.  The checkers know of all of it.

    Choices are drawn from the seed, in the order in which they are asked for."""

    scenario: Scenario
    loop: VirtualLoop
    network: SimNetwork
    population: Population
    recorder: Recorder
    damage: DamageRecord

    def begin_hooks(self, chance: int) -> None:
        """Nothing has been done yet; ``chance`` decides what is drawn."""
        self._choices = random.Random(derived_seed(chance, "hooks/choices"))
        self._newcomers = random.Random(derived_seed(chance, "hooks/newcomers"))

    # --- telling ----------------------------------------------------------------------------

    def sample(self, metric: str, label: str, value: float) -> None:
        """A row of samples.csv, at this time.  Raises ValueError for a metric that the laboratory
        has itself and for what is no number."""
        self.recorder.own_samples.add(metric, label, value)
        self.recorder.sample(self.loop.time(), metric, value, label)

    # --- machines that come and go ----------------------------------------------------------

    def add(self, group: NodeGroup, rng: random.Random, node_secret: bytes = b"") -> Member:
        """One more machine, of that group (``scenario.group(name)``); it is down."""
        member = self.population.add(node_settings(group.run, rng), node_secret)
        self.settle_in(member, group, rng)
        return member

    def settle_in(self, member: Member, group: NodeGroup, rng: random.Random) -> None:
        """Give it the place and the links of its group."""
        move_in(self.network, member, group)
        condition(self.network, member, group.network, rng)

    async def spawn(self, group: str | None = None, *, warm: bool = False) -> Member:
        """A brand-new machine of that group (the first by default), whose node joins through the
        protocol or, warm, with a table that an oracle fills.  It stays: churn does not know it.
        Returned when it has joined or failed to (``ready`` says)."""
        chosen = self.scenario.groups[0] if group is None else self.scenario.group(group)
        member = self.add(chosen, self._newcomers)
        await self._enter(member, warm=warm)
        return member

    async def replace(self, member: Member, *, warm: bool = False) -> Member:
        """That machine dies for good with its disk, and a brand-new one takes its place, of the
        same group, failure domain and settings: other keys, another address, an empty disk."""
        self.kill(member, forever=True)
        newcomer = self.population.add(member.settings)
        self.settle_in(newcomer, self.scenario.group(member.group), self._newcomers)
        newcomer.domain = member.domain
        await self._enter(newcomer, warm=warm)
        return newcomer

    def machines(
        self, *, group: str | None = None, region: str | None = None, domain: str | None = None
    ) -> list[Member]:
        """Those that are of that group, region and failure domain, up, down or gone; raises
        ValueError if there are none."""
        found = [
            one
            for one in self.population.members
            if group in (None, one.group)
            and region in (None, one.region)
            and domain in (None, one.domain)
        ]
        if not found:
            wanted = {"group": group, "region": region, "domain": domain}
            asked = [f"{key} {name!r}" for key, name in wanted.items() if name is not None]
            known = {
                one.domain if domain else one.region if region else one.group: None
                for one in self.population.members
            }
            raise ValueError(
                f"no machine is of {' and '.join(asked)}; "
                f"there are {', '.join(filter(None, known)) or 'none'}"
            )
        return found

    def kill(
        self,
        members: Some | None = None,
        *,
        share: float = 1.0,
        group: str | None = None,
        region: str | None = None,
        domain: str | None = None,
        forever: bool = False,
    ) -> list[Member]:
        """A share of these machines, or those of ``machines``, lose power at once; which did.

        Of what is up, which may come back by churn or ``revive``; or, ``forever``, of all that are
        there, up or down, which never come back, nor do their disks."""
        if not 0 <= share <= 1:
            raise ValueError(f"{share} is no share: from 0 to 1")
        if members is None:
            members = self.machines(group=group, region=region, domain=domain)
        elif (group, region, domain) != (None, None, None):
            raise ValueError("either members, or a group, region or domain")
        chosen = _several(members)
        able = [one for one in chosen if not one.gone and (forever or one.node is not None)]
        struck = self._choices.sample(able, round(share * len(able))) if share < 1 else able
        for member in struck:
            self.population.crash(member.number)
            if forever:
                member.gone = True
                member.disk.wipe()
        return sorted(struck, key=lambda one: one.number)

    async def revive(self, member: Member, *, with_data: bool = True) -> bool:
        """Start a machine that is down and let it join again; whether it did."""
        _check_machine(member)
        if not self.population.can_start(member.number):
            return False
        if not with_data:
            self.damage.data_lost(member.number, self.loop.time())
        await self._enter(member, with_data=with_data)
        return member.ready

    async def _enter(self, member: Member, *, warm: bool = False, with_data: bool = True) -> None:
        with contextlib.suppress(DhtstoreError):  # it died meanwhile
            if warm:
                await start_known(self.population, member.number)
            else:
                await self.population.start(member.number, with_data=with_data)
                await self.population.join(member.number)

    # --- sleep ------------------------------------------------------------------------------

    def sleep(self, member: Member, asleep_s: float | None = None) -> bool:
        """Put a machine to sleep with what runs on it, for so long or until ``wake``; False if it
        is down or asleep."""
        _check_machine(member)
        if asleep_s is not None and not 0 <= asleep_s < math.inf:
            raise ValueError(f"{asleep_s} s is no time to sleep")
        nap = fall_asleep(self.population, member)
        if nap is not None and asleep_s is not None:
            self.loop.post(asleep_s, self._wake_from, member, nap)
        return nap is not None

    def wake(self, member: Member) -> None:
        """End its sleep; nothing, if it is awake."""
        _check_machine(member)
        wake(self.population, member)

    def _wake_from(self, member: Member, nap: Nap) -> None:
        if member.nap is nap:
            wake(self.population, member)

    # --- clocks -----------------------------------------------------------------------------

    def set_clock(self, member: Member, offset_s: float) -> None:
        """Its wall clock is ahead of true time by that from now on (behind, below 0); the time
        that it measures goes on.  Its node, if one runs, finds out as late as a real one."""
        _check_machine(member)
        if not math.isfinite(offset_s):
            raise ValueError(f"{offset_s} s is no offset of a clock")
        self.damage.clock_set(member.number, offset_s, self.loop.time())
        self.network.trace.state(self.loop.time(), "clock set", f"{member.number} {offset_s!r}")
        if member.nap is None:
            member.clock.set_wall(offset_s)
        else:
            member.clock.skew_s = offset_s  # it finds out when it wakes

    # --- ways -------------------------------------------------------------------------------

    def block(
        self, sources: Some, targets: Some, *, datagrams: bool = True, streams: bool = True
    ) -> None:
        """Nothing of these kinds gets from any of the sources to any of the targets any more; the
        other direction stays as it is.  A stream needs both."""
        for source, target in _pairs(sources, targets):
            self.damage.blocked(source.number, target.number)
            self.network.block(source.address, target.address, datagrams=datagrams, streams=streams)

    def unblock(
        self, sources: Some, targets: Some, *, datagrams: bool = True, streams: bool = True
    ) -> None:
        """These ways are open again."""
        for source, target in _pairs(sources, targets):
            self.network.unblock(
                source.address, target.address, datagrams=datagrams, streams=streams
            )
            self.damage.unblocked(source.number, target.number, self.loop.time())


def _check_machine(member: object) -> None:
    """Raises ValueError for what is none, such as a machine's number."""
    if not isinstance(member, Member):
        raise ValueError(f"{member!r} is no machine, as world.machines() has them")


def _several(members: Some) -> Sequence[Member]:
    """Raises ValueError for what is no machine, such as a machine's number."""
    chosen: list[object] = list(members) if isinstance(members, Iterable) else [members]
    machines = [one for one in chosen if isinstance(one, Member)]
    if len(machines) < len(chosen):
        raise ValueError(f"{chosen} are not all machines, as world.machines() has them")
    return machines


def _pairs(sources: Some, targets: Some) -> list[tuple[Member, Member]]:
    ends = _several(targets)
    return [(one, other) for one in _several(sources) for other in ends if one is not other]
