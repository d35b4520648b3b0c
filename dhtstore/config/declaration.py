"""How a setting is declared: beside its field, once, with all that anybody needs to know of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

ENVIRONMENT_PREFIX: Final = "DHTSTORE_"
Value = str | int | list[str]  # what config.toml holds


def _unchecked(value: Any, settings: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its ``key`` in config.toml and the ``field`` that holds its value.

    ``read`` makes the value of what TOML, the environment or a flag gave, and raises ValueError;
    ``write`` is its inverse, None where nothing is decided.  ``check`` gets the value and all
    settings, and returns what is wrong or "".  ``help`` and ``metavar`` are for the commands'
    options, ``unset`` says what holds where the default decides nothing; ``repeats``: the option
    may be given several times.
    """

    key: str
    read: Callable[[object], Any]
    help: str
    metavar: str
    write: Callable[[Any], Value | None]
    check: Callable[[Any, Any], str]
    repeats: bool
    unset: str
    field: str = ""
    default: Any = None

    @property
    def flag(self) -> str:
        """The option that sets it, as ``--min-acks``."""
        return "--" + self.key.replace("_", "-")

    @property
    def default_text(self) -> str:
        """What counts where it is not given, for people."""
        return self.unset or str(self.write(self.default))

    @property
    def variable(self) -> str:
        """The environment variable that sets it, as ``DHTSTORE_MIN_ACKS``."""
        return ENVIRONMENT_PREFIX + self.key.upper()


def setting(
    key: str,
    read: Callable[[object], Any],
    help: str,  # noqa: A002 - the word for it wherever options are declared
    metavar: str,
    *,
    default: object,
    write: Callable[[Any], Value | None] = lambda value: value,
    check: Callable[[Any, Any], str] = _unchecked,
    repeats: bool = False,
    unset: str = "",
) -> Any:
    """Declare a field of a settings class."""
    declared = Setting(key, read, help, metavar, write, check, repeats, unset)
    return dataclasses.field(default=default, metadata={"setting": declared})


def settings_of(kind: type) -> tuple[Setting, ...]:
    """The settings that a class declares, in order."""
    return tuple(
        dataclasses.replace(field.metadata["setting"], field=field.name, default=field.default)
        for field in dataclasses.fields(kind)
    )
