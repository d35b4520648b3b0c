"""config: the settings of this data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from dhtstore.cli.naming import completing
from dhtstore.cli.terminal.common import Common, command
from dhtstore.cli.terminal.options import ABOUT_HOME
from dhtstore.config import KEYS, unknown_setting

LIMITS: Final = ("limit_up", "limit_down")

if TYPE_CHECKING:
    from dhtstore.store.home.home import Home


def settings(
    common: Common,
    key: Annotated[
        str,
        typer.Argument(
            metavar="[KEY]", help="Which; all are shown without.", autocompletion=completing.keys
        ),
    ] = "",
    value: Annotated[
        str | None,
        typer.Argument(metavar="[VALUE]", help='What to write; "" for the default again.'),
    ] = None,
) -> None:
    """Show the settings, or one of them; or write one.

    What is written counts from the next start, a limit at once; "" resets it to its default.
    Flags of join override DHTSTORE_<KEY>, which overrides config.toml.
    """
    from dhtstore.api.homes import home_path, set_in_file
    from dhtstore.store.home.home import Home

    if key and key not in KEYS:
        raise unknown_setting(key)
    if value is not None:
        home = Home(home_path(common.home))
        set_in_file(home, key, value)
        if common.json:
            _show(common, key)
        _remark(common, home, key)
        return
    _show(common, key)


settings.__doc__ = f"{settings.__doc__}\n    Settings: {', '.join(KEYS)}.\n    "
config = command(
    ABOUT_HOME,
    examples=(
        "dhtstore config",
        "dhtstore config capacity 200GB",
        'dhtstore config domain ""',
        "dhtstore config limit_up '5MB/s, 22:00-06:00 unlimited'",
    ),
)(settings)


def _remark(common: Common, home: Home, key: str) -> None:
    """What follows of a setting that was written, for people."""
    from dhtstore.api.homes import capacity_problem
    from dhtstore.cli.terminal.show import say
    from dhtstore.net.local.client import listening_pid

    if key == "capacity" and (problem := capacity_problem(home)):
        say(common, f"warning: {problem}")
    if not (pid := listening_pid(home.socket_to_ask)):
        return
    if key in LIMITS:
        _tell_node(common, home, key, pid)
    else:
        say(common, f"{key} counts from the next start of the node that runs here (pid {pid})")


def _tell_node(common: Common, home: Home, key: str, pid: int) -> None:
    """The node that runs here need not be started again for a limit."""
    from dhtstore.api.homes import settings_in
    from dhtstore.cli.running.session import ask
    from dhtstore.cli.terminal.show import say
    from dhtstore.config import format_size, shown
    from dhtstore.operations.limits import SetLimits

    told = ask(common, SetLimits(**{key: str(shown(settings_in(home.path))[key])}))
    now = told.up_now if key == "limit_up" else told.down_now
    limit = "no limit" if now is None else f"{format_size(now)}/s"
    say(common, f"{key} counts in the node that runs here (pid {pid}): {limit} now")


def _show(common: Common, key: str) -> None:
    from dhtstore.api.homes import home_path, settings_in
    from dhtstore.cli.terminal.show import emit, print_fields, print_json
    from dhtstore.config import shown

    values = shown(settings_in(home_path(common.home)))
    if key:
        values = {key: values[key]}
    if common.json:
        print_json(values)
    elif key:
        emit("" if values[key] is None else values[key])
    else:
        print_fields(values)
