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
    from dhtstore.operations.nodes import CapacityChange
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

    What is written counts from the next start, capacity and limits at once; "" resets it to
    its default.  Flags of join override DHTSTORE_<KEY>, which overrides config.toml.
    """
    from dhtstore.api.homes import home_path, set_in_file
    from dhtstore.store.home.home import Home

    if key and key not in KEYS:
        raise unknown_setting(key)
    if value is not None:
        home = Home(home_path(common.home))
        if key == "capacity" and _change_capacity(common, home, value):
            return
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


def _change_capacity(common: Common, home: Home, value: str) -> bool:
    """Have the node that runs here give so much, "" for what is given by default; False if none
    does."""
    from dhtstore.api.homes import set_in_file
    from dhtstore.api.settings.checking import default_capacity
    from dhtstore.cli.running.session import ask
    from dhtstore.config import Settings, merge
    from dhtstore.errors import NotRunning
    from dhtstore.net.local.client import listening_pid
    from dhtstore.operations.nodes import SetCapacity

    if not listening_pid(home.socket_to_ask):
        return False
    wanted = {"capacity": value or str(default_capacity(home))}
    given = merge(Settings(), wanted, "nothing was written").capacity_bytes or 0
    try:
        changed = ask(common, SetCapacity(capacity=given))
    except NotRunning:
        return False
    if not value:  # the node wrote down how much it is now
        set_in_file(home, "capacity", "")
    if common.json:
        _show(common, "capacity")
    _tell_change(common, home, changed)
    return True


def _tell_change(common: Common, home: Home, changed: CapacityChange) -> None:
    """What came of it, and what to do where too much is used, for people."""
    from dhtstore.api.homes import capacity_problem
    from dhtstore.cli.terminal.show import say
    from dhtstore.config import format_size

    if not changed.applied:
        kind = "a storage node" if changed.capacity else "a client"
        say(common, f"it is written; the node that runs here becomes {kind} at its next start")
        return
    before, used = format_size(changed.before), format_size(changed.used)
    say(common, f"gives {format_size(changed.capacity)} now, {before} before; {used} are used")
    if changed.freed:
        say(common, f"{format_size(changed.freed)} went that nothing keeps")
    if changed.over:
        say(common, _over(changed))
    if problem := capacity_problem(home):
        say(common, f"warning: {problem}")


def _over(changed: CapacityChange) -> str:
    from dhtstore.config import format_size

    room, by = changed.room, ""
    if room is not None:
        by = (
            f" (blocks {format_size(room.packs)}, index {format_size(room.index)}, set aside"
            f" {format_size(room.reserved + room.aside)}; claims are charged with"
            f" {format_size(room.own)} of your own and {format_size(room.others)} of others)"
        )
    return (
        f"that is {format_size(changed.over)} more than is given{by}: nothing new is stored here"
        " until it fits, and all that is claimed stays, since this node has signed for it;"
        " end what you do not need (`dhtstore rm`, `pin rm`, then `gc`), wait for claims to"
        " run out, or give more"
    )


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
