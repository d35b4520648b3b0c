"""Scenario files: TOML into one typed, frozen ``Scenario``.

Unknown keys, wrong units and impossible values raise ScenarioError, which names the key.  Every
value can be overridden with ``key=value`` (``network.loss=2 %``).  ``Scenario.raw`` is what was
read, overrides included, and is enough to run the same again.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dhtstore.params import DATAGRAM_MAX_BYTES, REPLICAS_MAX
from simulations.datagram_kinds import ANSWER, KINDS
from simulations.errors import ScenarioError
from simulations.settings import (
    choice,
    duration,
    duration_or,
    file_name,
    flag,
    integer,
    number,
    rate,
    read_section,
    share,
    size,
    suggestion,
    text,
)

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is run, how large and for how long.  ``warm_start``: tables filled by an oracle,
    otherwise nodes join through the protocol, ``joins_at_once`` at a time;
    ``future``: which of the futures of the seed's world (users, churn, faults, lost datagrams);
    ``module``: a Python file with the scenario's own parts, see ``lab.one_run.scenario_module``."""

    scenario: str = text()
    description: str = text()
    seed: int = integer(1)
    nodes: int = integer(100, 1, 100_000)
    duration_s: float = duration("1 h")
    settle_s: float = duration("1 min")
    warm_start: bool = flag(True)
    joins_at_once: int = integer(1, 1, 1000)
    storage_share: float = share("100 %")
    capacity_bytes: int = size("1 GiB")
    replicas: int = integer(3, 1, REPLICAS_MAX)
    clock_skew_s: float = duration(0)
    future: int = integer(0)
    module: str = file_name()


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Latency is one way and fixed per pair; ``low_s`` and ``high_s`` bound the uniform model.
    ``congestion``: what streams do about loss; a node asks for BBR and gets CUBIC, where the
    system does not have it or keeps it for the administrator, as most do."""

    latency: str = choice("coordinates", "uniform", "fixed", "matrix")
    fixed_s: float = duration("50 ms")
    low_s: float = duration("20 ms")
    high_s: float = duration("150 ms")
    matrix_file: str = file_name()
    matrix_unit: str = choice("ms", "s")
    jitter: float = share("5 %")
    loss: float = share(0)
    duplicate: float = share(0)
    reorder: float = share(0)
    mtu_bytes: int = size(f"{DATAGRAM_MAX_BYTES} B", 64)
    up_bytes_per_s: float | None = rate("unlimited")
    down_bytes_per_s: float | None = rate("unlimited")
    congestion: str = choice("cubic", "bbr")
    undiallable: float = share(0)
    slow: float = share(0)
    slow_factor: float = number(10.0, 1.0, 1000.0)

    def __post_init__(self) -> None:
        if self.low_s > self.high_s:
            raise ValueError(f"low_s ({self.low_s:g} s) is more than high_s ({self.high_s:g} s)")
        if self.latency == "matrix" and not self.matrix_file:
            raise ValueError("latency 'matrix' needs matrix_file")


@dataclass(frozen=True, slots=True)
class ChurnSettings:
    """Sessions and absences.  With a preset the distributions come from the literature.

    ``arrivals``: brand-new machines besides those, each of which stays for one session (for ever
    without churn) and does not come back; ``arrivals_per_h`` is their mean rate in the network.
    """

    preset: str = choice("none", "kad", "bittorrent", "ipfs", "custom", "trace")
    session: str = choice("weibull", "exponential", "lognormal")
    session_median_s: float = duration("1 h", 1.0)
    session_shape: float = number(0.6, 0.1, 10.0)
    absence_median_s: float | None = duration_or("as sessions", 1.0)
    arrivals: str = choice("none", "poisson", "kad", "bittorrent")
    arrivals_per_h: float = number(60.0, 0.0, 1e6)
    trace_file: str = file_name()
    always_on: float = share(0)
    leave: float = share("50 %")
    keep_data: float = share("100 %")

    def __post_init__(self) -> None:
        if self.preset == "trace" and not self.trace_file:
            raise ValueError("preset 'trace' needs trace_file")


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """Operations a second over the whole network; popularity is Zipf with that exponent."""

    kind: str = choice("none", "mix", "flash_crowd", "lookups", "reprovide")
    operations_per_s: float = number(1.0, 0.0, 1e6)
    put_share: float = share("10 %")
    objects: int = integer(100, 1, 10_000_000)
    zipf_exponent: float = number(1.0, 0.0, 5.0)
    size_median_bytes: int = size("16 KiB", 1)
    size_sigma: float = number(2.0, 0.0, 5.0)
    size_max_bytes: int = size("8 MiB", 1)
    crowd: int = integer(100, 1, 100_000)
    ramp_s: float = duration("1 min")

    def __post_init__(self) -> None:
        if self.size_median_bytes > self.size_max_bytes:
            raise ValueError("size_median_bytes is more than size_max_bytes")


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """How often each kind strikes, per node and hour (drops and partitions: per network and
    hour).  A drop takes every datagram of one kind: ``drop_kind``, or one chosen at random."""

    crashes_per_h: float = number(0.0, 0.0, 3600.0)
    disk_full_per_h: float = number(0.0, 0.0, 3600.0)
    slow_disk_per_h: float = number(0.0, 0.0, 3600.0)
    bit_rot_per_h: float = number(0.0, 0.0, 3600.0)
    lost_writes_per_h: float = number(0.0, 0.0, 3600.0)
    sleeps_per_h: float = number(0.0, 0.0, 3600.0)
    drops_per_h: float = number(0.0, 0.0, 3600.0)
    partitions_per_h: float = number(0.0, 0.0, 3600.0)
    drop_kind: str = choice("any", *KINDS, ANSWER)
    lying: float = share(0)
    lasting_s: float = duration("5 min")
    restart_after_s: float = duration("30 s")
    asleep_s: float = duration("8 h")


_SECTIONS: Mapping[str, type[Any]] = {
    "run": RunSettings,
    "network": NetworkSettings,
    "churn": ChurnSettings,
    "workload": WorkloadSettings,
    "faults": FaultSettings,
}
_PARAMETERS = "parameters"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment.  ``raw`` holds the tables as read; ``parameters`` are the module's own."""

    run: RunSettings
    network: NetworkSettings
    churn: ChurnSettings
    workload: WorkloadSettings
    faults: FaultSettings
    raw: Mapping[str, Any]

    def parameters(self, section: type[P]) -> P:
        """The scenario module's own settings, from ``[parameters]``; raises ScenarioError."""
        return read_section(section, self.raw.get(_PARAMETERS, {}), _PARAMETERS)

    def files(self) -> dict[str, str]:
        """Names of the files that it needs, as written, by key."""
        return {
            f"{name}.{field.name}": getattr(section, field.name)
            for name in _SECTIONS
            for section in [getattr(self, name)]
            for field in dataclasses.fields(section)
            if field.metadata.get("is_file") and getattr(section, field.name)
        }

    def with_files_beside(self) -> Scenario:
        """The same for a folder that holds copies of its files; raises ScenarioError if two of
        them have the same name."""
        names = {key: Path(name).name for key, name in self.files().items()}
        if len(set(names.values())) < len(set(self.files().values())):
            raise ScenarioError(f"two files have one name: {', '.join(self.files().values())}")
        return from_tables(self.raw, [f"{key}={json.dumps(name)}" for key, name in names.items()])

    def sha256(self) -> str:
        """Of everything that was read: the same experiment has the same hash."""
        return hashlib.sha256(json.dumps(self.raw, sort_keys=True).encode()).hexdigest()


def load(path: Path, overrides: Iterable[str] = ()) -> Scenario:
    """Read a scenario file, or the scenario.json of a run; raises ScenarioError."""
    read = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        raw = read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ScenarioError(f"{path} is not {path.suffix[1:].upper()}: {error}") from error
    return from_tables(raw, overrides)


def from_tables(raw: Mapping[str, Any], overrides: Iterable[str] = ()) -> Scenario:
    """A scenario from parsed TOML (or from ``Scenario.raw`` kept as JSON); raises ScenarioError."""
    tables = copy.deepcopy(dict(raw))
    for text_ in overrides:
        _override(tables, text_)
    for name in tables:
        if name not in _SECTIONS and name != _PARAMETERS:
            raise ScenarioError(f"unknown section [{name}]{suggestion(name, _SECTIONS)}")
    sections: dict[str, Any] = {
        name: read_section(kind, tables.get(name, {}), name) for name, kind in _SECTIONS.items()
    }
    return Scenario(**sections, raw=tables)


def _override(tables: dict[str, Any], assignment: str) -> None:
    key, equals, value = assignment.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise ScenarioError(f"not of the form section.key=value: {assignment!r}")
    table = tables.setdefault(section, {})
    if not isinstance(table, dict):
        raise ScenarioError(f"[{section}] must be a table")
    table[name] = _value(value.strip())


def _value(spelled: str) -> object:
    """A TOML value; what is none (50 ms, ipfs) is text, so that shells need no quotes."""
    try:
        return tomllib.loads(f"value = {spelled}")["value"]
    except tomllib.TOMLDecodeError:
        return spelled
