"""Service levels as the text at the end of a scenario file, and in its place there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from simulations.errors import ScenarioError
from simulations.sections.service import NAME, ServiceLevel, ServiceSettings

_COMMENT = (
    "# What users were served in reference runs, and by how much a run may be worse; renewed by\n"
    "# `python -m simulations reference`.\n"
)
_TABLE = re.compile(r"^\s*\[")
_OWN_TABLE = re.compile(rf"^\s*\[\s*{NAME}\s*[.\]]")


def block(service: ServiceSettings) -> str:
    """The tables of ``[service]``, as TOML."""
    reference = service.reference
    head = f'of = "{reference.of}"\ncommit = "{reference.commit}"\nruns = {reference.runs}\n'
    head += f"parts = {reference.parts}\n" if reference.parts > 1 else ""
    kinds = (f"\n[{NAME}.{kind}]\n{_keys(level)}" for kind, level in service.levels.items())
    return f"{_COMMENT}[{NAME}]\n{head}{''.join(kinds)}"


def _keys(level: ServiceLevel) -> str:
    recall = (
        f'recall = "{100 * level.recall:.2f} %"\n'
        f'recall_tolerance = "{100 * level.recall_tolerance:.2f} %"\n'
    )
    return (
        f"operations = {level.operations}\n"
        f'success = "{100 * level.success:.2f} %"\n'
        f'success_tolerance = "{100 * level.success_tolerance:.2f} %"\n'
        f"{recall if level.recall else ''}"
        f'p50_s = "{level.p50_s:.4g} s"\n'
        f'p50_tolerance_s = "{level.p50_tolerance_s:.3g} s"\n'
        f'p95_s = "{level.p95_s:.4g} s"\n'
        f'p95_tolerance_s = "{level.p95_tolerance_s:.3g} s"\n'
    )


def with_block(text: str, written: str) -> str:
    """The file with that block at its end, in place of one that it had; all else stays as it is.
    Raises ScenarioError if that would change anything else."""
    kept: list[str] = []
    own = False
    for line in text.replace(_COMMENT, "").splitlines(keepends=True):
        own = bool(_OWN_TABLE.match(line)) if _TABLE.match(line) else own
        if not own:
            kept.append(line)
    found = f"{''.join(kept).rstrip()}\n\n{written}"
    try:
        same = _others(found) == _others(text)
    except tomllib.TOMLDecodeError:  # it stands there twice now
        same = False
    if not same:
        raise ScenarioError(f"[{NAME}] cannot be replaced: write it in tables of its own")
    return found


def write(path: Path, service: ServiceSettings) -> None:
    """Into a scenario file; raises ScenarioError."""
    try:
        path.write_text(
            with_block(path.read_text(encoding="utf-8"), block(service)), encoding="utf-8"
        )
    except OSError as error:
        raise ScenarioError(f"cannot write {path}: {error.strerror}") from error


def _others(text: str) -> dict[str, object]:
    return {name: table for name, table in tomllib.loads(text).items() if name != NAME}
