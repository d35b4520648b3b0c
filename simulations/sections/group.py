"""``[[group]]``: so many of the nodes, and what holds for them instead of [run], [network] and
[churn].

Groups have names and follow each other in the order of the file: the first has the numbers from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from simulations.errors import ScenarioError
from simulations.regions import REGIONS
from simulations.sections.churn import ChurnSettings
from simulations.sections.network import NetworkSettings
from simulations.sections.run import NODES_MAX, RunSettings
from simulations.settings import integer, number_or, read_section, suggestion, word
from simulations.units import share

NAME = "group"
_ARRIVALS = ("arrivals", "arrivals_per_h")
# What of each section a group may say for itself.
_INHERITED: Mapping[str, tuple[str, ...]] = {
    "run": ("storage_share", "capacity_bytes", "replicas"),
    "network": ("up_bytes_per_s", "down_bytes_per_s", "undiallable", "slow", "slow_factor"),
    "churn": tuple(one.name for one in fields(ChurnSettings)),
}
_KINDS: Mapping[str, type[Any]] = {
    "run": RunSettings,
    "network": NetworkSettings,
    "churn": ChurnSettings,
}


def _count(value: object) -> int | float:
    """Nodes, or a share of ``run.nodes``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"{value!r} must be at least 0")
        return value
    return share(value)


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """``count``: nodes, or a share of ``run.nodes``.  ``region``: a place on the plane of
    latencies, one of those known or, with ``region_x_ms`` and ``region_y_ms``, one of its own,
    whose distance to another place is its latency one way.  ``domain``: what fails together; with
    ``domains``, so many of them, NAME-1, NAME-2..., to which the nodes of the group are dealt."""

    name: str = word()
    count: int | float = field(default=0, metadata={"read": _count})
    region: str = word()
    region_x_ms: float | None = number_or("known", -1000.0, 1000.0)
    region_y_ms: float | None = number_or("known", -1000.0, 1000.0)
    domain: str = word()
    domains: int = integer(1, 1, 100_000)

    def __post_init__(self) -> None:
        if (self.region_x_ms is None) is not (self.region_y_ms is None):
            raise ValueError("region_x_ms and region_y_ms need each other")
        if self.region_x_ms is not None and not self.region:
            raise ValueError("region_x_ms and region_y_ms need the name of a region")
        if self.domains > 1 and not self.domain:
            raise ValueError("domains needs domain, which names them")


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """``count`` nodes from number ``first`` on, the sections as they hold for them, and the table
    as written.  Without [[group]] all nodes are one group without a name."""

    own: GroupSettings
    first: int
    count: int
    run: RunSettings
    network: NetworkSettings
    churn: ChurnSettings
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.own.name

    @property
    def numbers(self) -> range:
        """Of its nodes."""
        return range(self.first, self.first + self.count)

    @property
    def own_arrivals(self) -> bool:
        """Whether it has arrivals of its own, and no part in those of the network."""
        return any(key in self.table for key in _ARRIVALS)

    @property
    def files(self) -> dict[str, str]:
        """Names of the files that it names itself, by key."""
        of_files = {one.name for one in fields(ChurnSettings) if one.metadata.get("is_file")}
        return {
            f"{NAME}.{self.name}.{key}": name
            for key, name in self.table.items()
            if key in of_files and name
        }

    def domain_of(self, number: int) -> str:
        """The failure domain of its node with that number; "" for none."""
        own = self.own
        return f"{own.domain}-{number % own.domains + 1}" if own.domains > 1 else own.domain

    def value(self, key: str) -> Any:
        """What holds for it."""
        parts = (part for part, keys in _INHERITED.items() if key in keys)
        return getattr(getattr(self, next(parts, "own")), key)


def read_groups(raw: Mapping[str, Any]) -> tuple[NodeGroup, ...]:
    """At least one, from all tables of a scenario; raises ScenarioError naming the key."""
    sections = {part: read_section(_KINDS[part], raw.get(part, {}), part) for part in _KINDS}
    if not raw.get(NAME):
        return (NodeGroup(GroupSettings(), 0, sections["run"].nodes, **sections, table={}),)
    tables = _by_name(raw[NAME])
    own = [_own(name, table) for name, table in tables.items()]
    counts = _counts(own, raw.get("run", {}).get("nodes"))
    _check_regions(own, sections["network"])
    return tuple(
        NodeGroup(one, sum(counts[:at]), counts[at], **_effective(raw, table), table=table)
        for at, (one, table) in enumerate(zip(own, tables.values(), strict=True))
    )


def table_of(tables: object, key: str) -> tuple[dict[str, Any], str]:
    """The table and the key in it that ``NAME.key`` means; raises ScenarioError."""
    name, _, own = key.partition(".")
    known = _by_name(tables or [])
    if name not in known or not own:
        hint = suggestion(name, known) if known else "; the scenario has no [[group]]"
        raise ScenarioError(f"unknown group: {NAME}.{key} is not {NAME}.NAME.key=value{hint}")
    return known[name], own


def _by_name(tables: object) -> dict[str, dict[str, Any]]:
    if not isinstance(tables, list):
        raise ScenarioError(f"[{NAME}] is written [[{NAME}]], once for each group")
    found: dict[str, dict[str, Any]] = {}
    for place, table in enumerate(tables, start=1):
        name = table.get("name") if isinstance(table, dict) else None
        if not isinstance(name, str):
            raise ScenarioError(f"[[{NAME}]] number {place} has no name")
        if name in found:
            raise ScenarioError(f"[[{NAME}]] number {place}: the name {name} is taken")
        found[name] = table
    return found


def _own(name: str, table: Mapping[str, Any]) -> GroupSettings:
    known = [one.name for one in fields(GroupSettings)]
    inherited = [key for keys in _INHERITED.values() for key in keys]
    for key in table:
        if key not in known and key not in inherited:
            hint = suggestion(key, dict.fromkeys([*known, *inherited]))
            raise ScenarioError(f"unknown key {NAME}.{name}.{key}{hint}")
    if "count" not in table:
        raise ScenarioError(f"{NAME}.{name}.count is missing")
    own = {key: value for key, value in table.items() if key in known}
    return read_section(GroupSettings, own, f"{NAME}.{name}")


def _effective(raw: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The sections as they hold for a group."""
    found = {}
    for part, keys in _INHERITED.items():
        own = {key: value for key, value in table.items() if key in keys}
        whole = {**raw.get(part, {}), **own}
        found[part] = read_section(_KINDS[part], whole, f"{NAME}.{table['name']}")
    return found


def _counts(groups: Sequence[GroupSettings], nodes: int | None) -> list[int]:
    """Whole numbers that make up the nodes of the run, or shares of them."""
    told = ", ".join(f"{one.name} {one.count}" for one in groups)
    whole = [one.count for one in groups if isinstance(one.count, int)]
    if len(whole) == len(groups):
        if nodes not in (None, sum(whole)):
            raise ScenarioError(
                f"run.nodes is {nodes}, but the counts of the groups make {sum(whole)} ({told}): "
                f"set {NAME}.NAME.count instead, or write counts as shares such as '20 %'"
            )
        if not 1 <= sum(whole) <= NODES_MAX:
            raise ScenarioError(f"{NAME}.NAME.count: {sum(whole)} nodes in all ({told})")
        return whole
    if whole or abs(sum(one.count for one in groups) - 1) > 1e-9:
        raise ScenarioError(
            f"{NAME}.NAME.count: whole numbers, or shares of run.nodes that make 100 % ({told})"
        )
    if nodes is None:
        raise ScenarioError(f"{NAME}.NAME.count: shares ({told}) need run.nodes")
    return _portions([one.count for one in groups], nodes)


def _portions(shares: Sequence[float], nodes: int) -> list[int]:
    """By largest remainder."""
    counts = [int(nodes * one + 1e-9) for one in shares]
    rests = sorted(range(len(shares)), key=lambda at: counts[at] - nodes * shares[at])
    for at in rests[: nodes - sum(counts)]:
        counts[at] += 1
    return counts


def _check_regions(groups: Sequence[GroupSettings], network: NetworkSettings) -> None:
    own = centres(groups)
    for one in groups:
        key = f"{NAME}.{one.name}.region"
        if network.latency != "coordinates":
            if one.region_x_ms is not None:
                raise ScenarioError(f"{key}_x_ms needs network.latency = 'coordinates'")
        elif one.region and one.region not in own and one.region not in REGIONS:
            hint = suggestion(one.region, dict.fromkeys([*REGIONS, *own]))
            raise ScenarioError(
                f"{key}: unknown region {one.region!r}{hint}; "
                "a new one needs region_x_ms and region_y_ms"
            )
        if one.region_x_ms is not None and own[one.region] != (one.region_x_ms, one.region_y_ms):
            raise ScenarioError(f"{key}: {one.region!r} lies elsewhere in another group")


def centres(groups: Sequence[GroupSettings]) -> dict[str, tuple[float, float]]:
    """Where the regions are that groups place themselves, in milliseconds."""
    found: dict[str, tuple[float, float]] = {}
    for one in groups:
        if one.region_x_ms is not None and one.region_y_ms is not None:
            found.setdefault(one.region, (one.region_x_ms, one.region_y_ms))
    return found
