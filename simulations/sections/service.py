"""``[service]``: what users were served in reference runs, and by how much a run may be worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulations.errors import ScenarioError
from simulations.settings import duration, integer, read_section, share, text

NAME = "service"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """Of one kind of operation: the mean of the reference runs, or parts, with ``operations`` in
    each, and by how much one run may be worse.  Times and ``recall`` (OperationRow) are of
    operations that succeeded; it is 0 for kinds that have none."""

    operations: int = integer(0)
    success: float = share(0)
    success_tolerance: float = share(0)
    recall: float = share(0)
    recall_tolerance: float = share(0)
    p50_s: float = duration(0)
    p50_tolerance_s: float = duration(0)
    p95_s: float = duration(0)
    p95_tolerance_s: float = duration(0)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the levels are from: ``of`` is the hash of the settings that the reference runs had
    (``Scenario.settings_sha256``), ``commit`` the code that ran.  Each run was looked at in
    ``parts``."""

    of: str = text()
    commit: str = text()
    runs: int = integer(0)
    parts: int = integer(1)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """``levels`` by kind of operation; none if the scenario promises nothing."""

    reference: Reference
    levels: Mapping[str, ServiceLevel]


def read_service(table: object) -> ServiceSettings:
    """From ``[service]`` with its tables, one a kind; raises ScenarioError naming the key."""
    if not isinstance(table, Mapping):
        raise ScenarioError(f"[{NAME}] must be a table")
    kinds = {kind: one for kind, one in table.items() if isinstance(one, Mapping)}
    rest = {key: value for key, value in table.items() if key not in kinds}
    levels = {
        kind: read_section(ServiceLevel, one, f"{NAME}.{kind}") for kind, one in kinds.items()
    }
    return ServiceSettings(read_section(Reference, rest, NAME), levels)
