"""What the operator may set: declared once, read from file, environment and flags, written back.

``settings`` declares them; ``layers`` puts file, environment and flags one upon the other;
``quantities`` reads sizes and durations.
"""

from dhtstore.config.declaration import Setting
from dhtstore.config.layers import from_environment, merge, shown, unknown_setting, written
from dhtstore.config.quantities import (
    counted,
    format_clock,
    format_duration,
    format_own_clock,
    format_size,
    parse_duration,
    parse_duration_with_unit,
    parse_range,
    parse_size,
)
from dhtstore.config.settings import KEYS, SETTINGS, Settings
from dhtstore.config.toml import parse_toml, to_toml

__all__ = [
    "KEYS",
    "SETTINGS",
    "Setting",
    "Settings",
    "counted",
    "format_clock",
    "format_duration",
    "format_own_clock",
    "format_size",
    "from_environment",
    "merge",
    "parse_duration",
    "parse_duration_with_unit",
    "parse_range",
    "parse_size",
    "parse_toml",
    "shown",
    "to_toml",
    "unknown_setting",
    "written",
]
