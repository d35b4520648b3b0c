"""Where a node lives: its data directory, and the settings in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dhtstore.api.settings.checking import check_setting
from dhtstore.config import (
    Settings,
    from_environment,
    merge,
    parse_toml,
    to_toml,
    written,
)
from dhtstore.errors import NotRunning
from dhtstore.store.home.home import Home

_FILE = "config.toml"


def home_path(given: str | os.PathLike[str] = "") -> Path:
    """The data directory: ``given``, else $DHTSTORE_HOME, else the XDG data directory."""
    named = os.fspath(given) or os.environ.get("DHTSTORE_HOME", "")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("dhtstore", appauthor=False)


def socket_path(home: Path) -> Path:
    """Where the node of a home listens for operations; raises NotRunning if there can be none."""
    if not home.is_dir():
        raise NotRunning(f"no node is running here: there is no directory {home}")
    return Home(home).socket_to_ask


def load_settings(
    home: Home, flags: Mapping[str, object], source: str = "command line"
) -> Settings:
    """Flag (given by ``source``, as errors say), else environment, else file, else default.

    Raises InvalidSetting naming the key.
    """
    file = str(home.path / _FILE)
    settings = merge(Settings(), parse_toml(home.read_config(), file), file)
    settings = _with_environment(settings)
    given = {key: value for key, value in flags.items() if value is not None and value != ""}
    return merge(settings, given, source)


def settings_in(home: Path) -> Settings:
    """As ``load_settings`` without flags, of a data directory that may be missing: it stays so."""
    if home.is_dir():
        return load_settings(Home(home), {})
    return _with_environment(Settings())


def _with_environment(settings: Settings) -> Settings:
    return merge(settings, from_environment(os.environ), "environment")


def keep_settings(home: Home, settings: Settings) -> None:
    """Write the settings of a first start; later ones are kept by ``set_in_file`` only."""
    if not home.read_config():
        home.write_config(to_toml(written(settings)))


def set_in_file(home: Home, key: str, value: str) -> None:
    """Write one setting into config.toml, "" to leave it to its default again.

    Raises InvalidSetting, and writes nothing then.
    """
    file = str(home.path / _FILE)
    given = {key: value} if value else {}
    merge(Settings(), given, "nothing was written")
    values = parse_toml(home.read_config(), file)
    values.pop(key, None)
    settings = merge(merge(Settings(), values, file), given, "nothing was written")
    if value:
        check_setting(key, home, settings, "nothing was written")
    home.write_config(to_toml(written(settings)))


def keep_capacity(home: Home, capacity_bytes: int) -> None:
    """Write down what the node that runs in ``home`` gives from now on, and promise it."""
    from dhtstore.store.home.promised import promise_anew  # not with each command

    set_in_file(home, "capacity", str(capacity_bytes))
    promise_anew(home, capacity_bytes)


def capacity_problem(home: Home) -> str:
    """Why the disk may not hold what the settings give of it; "" if it can."""
    from dhtstore.store.home.promised import space_of  # not with each command

    capacity_bytes = load_settings(home, {}).capacity_bytes
    return space_of(home, capacity_bytes).overpromised if capacity_bytes else ""
