"""Where settings come from, one upon the other.

Precedence: a flag, else ``DHTSTORE_<KEY>`` in the environment, else ``config.toml`` in the data
directory, else the default.  A wrong value stops start-up with an error that names its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dhtstore.config.declaration import Setting, Value
from dhtstore.config.settings import SETTINGS, Settings
from dhtstore.errors import InvalidSetting

_BY_KEY = {each.key: each for each in SETTINGS}


def merge(settings: Settings, values: Mapping[str, object], source: str) -> Settings:
    """``settings`` with the written ``values`` upon them.

    ``source`` names where they come from.  Raises InvalidSetting naming source and key.
    """
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _BY_KEY:
            raise unknown_setting(key, source)
        changes[_BY_KEY[key].field] = _read(_BY_KEY[key], value, source)
    try:
        return replace(settings, **changes)
    except InvalidSetting as error:
        raise InvalidSetting(f"{source}: {error}") from error


def unknown_setting(key: str, source: str = "") -> InvalidSetting:
    """The error for a key that no setting has; says which was probably meant."""
    import difflib  # few commands meet a mistyped key

    where = f"{source}: " if source else ""
    error = InvalidSetting(
        f"{where}there is no setting {key[:80]!r}; there are {', '.join(_BY_KEY)}"
    )
    close = difflib.get_close_matches(key.lower().replace("-", "_"), _BY_KEY, n=1)
    return error.hinted(f"did you mean {close[0]}?") if close else error


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among environment variables; other DHTSTORE_ names mean other things."""
    found = {each.key: environment.get(each.variable, "") for each in SETTINGS}
    return {key: value for key, value in found.items() if value}


def written(settings: Settings) -> dict[str, Value]:
    """Every setting that differs from its default, as it is written in the file."""
    changed = [each for each in SETTINGS if getattr(settings, each.field) != each.default]
    values = {each.key: each.write(getattr(settings, each.field)) for each in changed}
    return {key: value for key, value in values.items() if value is not None}


def shown(settings: Settings) -> dict[str, Value | None]:
    """Every setting with its value, as it is written; None where nothing is decided yet."""
    return {each.key: each.write(getattr(settings, each.field)) for each in SETTINGS}


def _read(setting: Setting, value: object, source: str) -> Any:
    try:
        return setting.read(value)
    except ValueError as error:
        raise InvalidSetting(f"{source}: {setting.key}: {error}") from error
