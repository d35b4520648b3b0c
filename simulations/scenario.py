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

from simulations.errors import ScenarioError
from simulations.sections.adversary import AdversarySettings
from simulations.sections.asked import NAME as _ASKED
from simulations.sections.asked import Bound, read_asked
from simulations.sections.churn import ChurnSettings
from simulations.sections.disk import DiskSettings
from simulations.sections.faults import FaultSettings
from simulations.sections.group import NAME as _GROUP
from simulations.sections.group import NodeGroup, read_groups, table_of
from simulations.sections.network import NetworkSettings
from simulations.sections.run import RunSettings
from simulations.sections.service import NAME as _SERVICE
from simulations.sections.service import ServiceSettings, read_service
from simulations.sections.workload import WorkloadSettings
from simulations.settings import read_section, suggestion

P = TypeVar("P")

_SECTIONS: Mapping[str, type[Any]] = {
    "run": RunSettings,
    "network": NetworkSettings,
    "churn": ChurnSettings,
    "workload": WorkloadSettings,
    "faults": FaultSettings,
    "adversary": AdversarySettings,
    "disk": DiskSettings,
}
_PARAMETERS = "parameters"
_PROMISED = (_SERVICE, _ASKED)
_NAMES = ("scenario", "description", "seed", "future")  # of [run]: they tell runs apart


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment.  ``raw`` holds the tables as read; ``parameters`` are the module's own.
    ``groups`` has the sections as they hold for each part of the nodes."""

    run: RunSettings
    network: NetworkSettings
    churn: ChurnSettings
    workload: WorkloadSettings
    faults: FaultSettings
    service: ServiceSettings
    asked: Mapping[str, Bound]
    groups: tuple[NodeGroup, ...]
    adversary: AdversarySettings
    disk: DiskSettings
    raw: Mapping[str, Any]

    def parameters(self, section: type[P]) -> P:
        """The scenario module's own settings, from ``[parameters]``; raises ScenarioError."""
        return read_section(section, self.raw.get(_PARAMETERS, {}), _PARAMETERS)

    def files(self) -> dict[str, str]:
        """Names of the files that it needs, as written, by key."""
        found = {
            f"{name}.{field.name}": getattr(section, field.name)
            for name in _SECTIONS
            for section in [getattr(self, name)]
            for field in dataclasses.fields(section)
            if field.metadata.get("is_file") and getattr(section, field.name)
        }
        return found | {key: name for one in self.groups for key, name in one.files.items()}

    def group(self, name: str) -> NodeGroup:
        """Raises ScenarioError for a name that no group has."""
        for one in self.groups:
            if one.name == name:
                return one
        raise ScenarioError(f"unknown group {name!r}{suggestion(name, self._group_names())}")

    def _group_names(self) -> dict[str, None]:
        return {one.name: None for one in self.groups if one.name}

    def value(self, key: str, default: object) -> Any:
        """What it makes of ``section.key`` or ``group.NAME.key``: seconds, bytes, a share, a word;
        ``default`` if it has no such key."""
        section, _, name = key.partition(".")
        if section == _GROUP:
            wanted, _, name = name.partition(".")
            return self.group(wanted).value(name)
        return getattr(getattr(self, section), name, default)

    def with_files_beside(self) -> Scenario:
        """The same for a folder that holds copies of its files; raises ScenarioError if two of
        them have the same name."""
        names = {key: Path(name).name for key, name in self.files().items()}
        if len(set(names.values())) < len(set(self.files().values())):
            raise ScenarioError(f"two files have one name: {', '.join(self.files().values())}")
        files = [f"{key}={json.dumps(name)}" for key, name in names.items()]
        return from_tables(self.raw, files, same=True)

    def sha256(self) -> str:
        """Of everything that was read: the same experiment has the same hash.  What is promised
        of it is no part of it."""
        return _sha256(_without_promises(self.raw))

    def settings_sha256(self, folder: Path) -> str:
        """Of what was set, whichever the seed, and of the files that it names, in ``folder``: runs
        with the same can be held against each other.  Raises ScenarioError."""
        tables = _without_promises(self.with_files_beside().raw)
        tables["run"] = {k: v for k, v in tables.get("run", {}).items() if k not in _NAMES}
        files = {key: _sha256_of_file(key, folder / name) for key, name in self.files().items()}
        return _sha256([tables, files])


def _without_promises(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: table for name, table in raw.items() if name not in _PROMISED}


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sha256_of_file(key: str, path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ScenarioError(f"{key}: cannot read {path}: {error.strerror}") from error


def load(path: Path, overrides: Iterable[str] = ()) -> Scenario:
    """Read a scenario file, or the scenario.json of a run; raises ScenarioError."""
    read = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        raw = read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ScenarioError(
            f"{path} is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}"
        ) from error
    if not isinstance(raw, dict):
        raise ScenarioError(f"{path} holds no sections such as [run]")
    return from_tables(raw, overrides)


def from_tables(
    raw: Mapping[str, Any], overrides: Iterable[str] = (), *, same: bool = False
) -> Scenario:
    """A scenario from parsed TOML (or from ``Scenario.raw`` kept as JSON); raises ScenarioError.
    Of other settings nothing is ``asked``, unless the overrides make the ``same`` of them."""
    tables, assignments = copy.deepcopy(dict(raw)), list(overrides)
    if not same and not all(map(_changes_nothing, assignments)):
        tables.pop(_ASKED, None)
    for assignment in assignments:
        _override(tables, assignment)
    known = dict.fromkeys((*_SECTIONS, _PARAMETERS, *_PROMISED, _GROUP))
    for name in tables:
        if name not in known:
            raise ScenarioError(f"unknown section [{name}]{suggestion(name, known)}")
    sections: dict[str, Any] = {
        name: read_section(kind, tables.get(name, {}), name) for name, kind in _SECTIONS.items()
    }
    service, asked = read_service(tables.get(_SERVICE, {})), read_asked(tables.get(_ASKED, {}))
    groups = read_groups(tables)
    sections["run"] = dataclasses.replace(sections["run"], nodes=sum(one.count for one in groups))
    _check_domains(sections["faults"], groups)
    _check_attack(sections["adversary"], sections["run"])
    return Scenario(**sections, service=service, asked=asked, groups=groups, raw=tables)


def _check_domains(faults: FaultSettings, groups: Iterable[NodeGroup]) -> None:
    if faults.domain_outages_per_h and not any(one.own.domain for one in groups):
        raise ScenarioError("faults.domain_outages_per_h: no [[group]] has a domain")


def _check_attack(adversary: AdversarySettings, run: RunSettings) -> None:
    """A run that is shortened for a first look would show a network that nobody attacks."""
    if adversary.attacks and adversary.at_s >= run.duration_s:
        ends = f"the scenario ends then or before (run.duration_s: {run.duration_s:g} s)"
        raise ScenarioError(f"adversary.at_s: {adversary.at_s:g} s: {ends}")


def _changes_nothing(assignment: str) -> bool:
    """But which run it is, or what is asked of it."""
    section, _, name = assignment.partition("=")[0].strip().partition(".")
    return section == _ASKED or (section == "run" and name in _NAMES)


def _override(tables: dict[str, Any], assignment: str) -> None:
    key, equals, value = assignment.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise ScenarioError(f"not of the form section.key=value: {assignment!r}")
    if section == _GROUP:
        table, name = table_of(tables.get(section), name)
    else:
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
