"""The text of config.toml, to values and back."""

from __future__ import annotations

from collections.abc import Mapping

from dhtstore.config.declaration import Value
from dhtstore.errors import InvalidSetting


def parse_toml(text: str, source: str) -> dict[str, object]:
    """The written values of a config file; raises InvalidSetting."""
    import tomllib  # each command loads this module; few of them read a file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{source}: {error}") from error


def to_toml(values: Mapping[str, Value]) -> str:
    """A config file with these values; ``parse_toml`` reads it back."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    return _string(value) if isinstance(value, str) else str(value)


def _string(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(char):04x}" if char in '"\\' or ord(char) < 32 or ord(char) == 127 else char
        for char in text
    )
    return f'"{escaped}"'
