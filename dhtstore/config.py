"""Operator settings: what one node may be told, and how it is written down.

Precedence: a flag, else ``DHTSTORE_<NAME>`` in the environment, else ``config.toml`` in the data
directory, else the default.  A wrong value stops start-up with an error that names its key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal, cast

from dhtstore.errors import InvalidSetting
from dhtstore.params import (
    ADDRESSES_PER_TICKET_MAX,
    DEFAULT_NETWORK,
    DEFAULT_REPLICAS,
    MIN_ACKS_DEFAULT,
    NETWORK_NAME_MAX_BYTES,
    REPLICAS_MAX,
)

ENVIRONMENT_PREFIX: Final = "DHTSTORE_"
DEFAULT_PORT: Final = 7400
Accept = Literal["mine", "owners", "network", "anyone"]
ACCEPTS: Final[tuple[Accept, ...]] = ("mine", "owners", "network", "anyone")
DOMAIN_MAX_BYTES: Final = 64

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?", re.IGNORECASE)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Settings:
    """One node's settings, valid as a whole.

    ``capacity_bytes`` None means "half of the free disk", decided and written down at the first
    start; 0 makes a client.  ``min_acks`` None means the smallest of 2, ``replicas`` and the live
    storage nodes known.  ``accept`` says whose data this disk takes: that of its own owner, of
    the owners listed (hex keys, one a line) in ``owners_file``, or of anyone in the network;
    ``network`` knows no quota per owner, ``anyone`` does (``owner_quota_bytes``; None means nine
    tenths of the capacity: most networks are small, yet nobody shall fill a disk alone).
    ``domain`` labels a failure domain: copies avoid sharing one.
    """

    network: str = DEFAULT_NETWORK
    listen: str = f"0.0.0.0:{DEFAULT_PORT}"
    advertise: tuple[str, ...] = ()
    capacity_bytes: int | None = None
    replicas: int = DEFAULT_REPLICAS
    min_acks: int | None = None
    accept: Accept = "anyone"
    owners_file: str = ""
    owner_quota_bytes: int | None = None
    domain: str = ""

    def __post_init__(self) -> None:
        for key, check in _CHECKS.items():
            problem = check(self)
            if problem:
                raise InvalidSetting(f"{key}: {problem}")

    @property
    def owner_limit_bytes(self) -> int | None:
        """The most one foreign owner may occupy here; None for no limit."""
        if self.accept != "anyone":
            return None
        if self.owner_quota_bytes is not None:
            return self.owner_quota_bytes
        return None if self.capacity_bytes is None else self.capacity_bytes * 9 // 10


def _check_replicas(settings: Settings) -> str:
    return "" if 1 <= settings.replicas <= REPLICAS_MAX else f"1 to {REPLICAS_MAX}"


def _check_min_acks(settings: Settings) -> str:
    wanted = settings.min_acks
    if wanted is None or 0 <= wanted <= settings.replicas:
        return ""
    return f"{wanted} copies can't be had from {settings.replicas} replicas"


def _check_network(settings: Settings) -> str:
    size = len(settings.network.encode())
    usable = 0 < size <= NETWORK_NAME_MAX_BYTES and settings.network.isprintable()
    return "" if usable else f"1 to {NETWORK_NAME_MAX_BYTES} printable bytes"


def _check_domain(settings: Settings) -> str:
    usable = len(settings.domain.encode()) <= DOMAIN_MAX_BYTES
    return "" if usable else f"at most {DOMAIN_MAX_BYTES} bytes"


def _check_listen(settings: Settings) -> str:
    return _host_port_problem(settings.listen, 0)


def _check_advertise(settings: Settings) -> str:
    if len(settings.advertise) > ADDRESSES_PER_TICKET_MAX:
        return f"at most {ADDRESSES_PER_TICKET_MAX} addresses"
    return next(filter(None, (_host_port_problem(text, 1) for text in settings.advertise)), "")


def _check_accept(settings: Settings) -> str:
    if settings.accept not in ACCEPTS:
        return f"{settings.accept!r} is none of {', '.join(ACCEPTS)}"
    if settings.accept == "owners" and not settings.owners_file:
        return "'owners' needs the file that lists them, as in 'owners FILE'"
    return ""


def _check_sizes(settings: Settings) -> str:
    return "must not be negative" if (settings.capacity_bytes or 0) < 0 else ""


_CHECKS: Final[dict[str, Callable[[Settings], str]]] = {
    "replicas": _check_replicas,
    "min_acks": _check_min_acks,
    "network": _check_network,
    "domain": _check_domain,
    "listen": _check_listen,
    "advertise": _check_advertise,
    "accept": _check_accept,
    "capacity": _check_sizes,
}


def _host_port_problem(text: str, port_min: int) -> str:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()):
        return f"{text[:80]!r} is not HOST:PORT"
    in_range = port_min <= int(port) <= 65535
    return "" if in_range else f"port {port} is not within {port_min} to 65535"


# --- values as people write them -------------------------------------------------------------


def parse_size(text: str) -> int:
    """Bytes from ``200 GB`` (10^9), ``10GiB`` (2^30) or ``4096``; raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text[:40]!r} is not a size such as 500MB or 10GiB")
    number, prefix, binary = match.groups()
    if binary and not prefix:
        raise ValueError(f"{text[:40]!r} is not a size such as 500MB or 10GiB")
    unit: int = (1024 if binary else 1000) ** _POWERS[prefix.lower()]
    return round(float(number) * unit) if "." in number else int(number) * unit


def format_size(size_bytes: int) -> str:
    """For people: ``1.4 GiB``."""
    value, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{value:.1f} {unit}"


def parse_duration(text: str) -> float:
    """Seconds from ``90``, ``30s``, ``5m``, ``2h`` or ``250ms``; raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match or float(match[1]) <= 0:
        raise ValueError(f"{text[:40]!r} is not a duration such as 30s or 5m")
    return float(match[1]) * _SECONDS[(match[2] or "s").lower()]


# --- settings as text ------------------------------------------------------------------------

Value = str | int | list[str]
KEYS: Final = (
    "network",
    "listen",
    "advertise",
    "capacity",
    "replicas",
    "min_acks",
    "accept",
    "owner_quota",
    "domain",
)


def merge(settings: Settings, values: Mapping[str, object], source: str) -> Settings:
    """``settings`` with the written ``values`` upon them.

    ``source`` names where they come from.  Raises InvalidSetting naming source and key.
    """
    changes: dict[str, object] = {}
    for key, value in values.items():
        if key not in KEYS:
            raise InvalidSetting(f"{source}: there is no setting {key!r}")
        changes |= _read(key, value, source)
    try:
        return replace(settings, **cast(dict[str, Any], changes))
    except InvalidSetting as error:
        raise InvalidSetting(f"{source}: {error}") from error


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among environment variables; other DHTSTORE_ names mean other things."""
    found = {key: environment.get(ENVIRONMENT_PREFIX + key.upper(), "") for key in KEYS}
    return {key: value for key, value in found.items() if value}


def parse_toml(text: str, source: str) -> dict[str, object]:
    """The written values of a config file; raises InvalidSetting."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{source}: {error}") from error


def written(settings: Settings) -> dict[str, Value]:
    """Every setting that differs from its default, as it is written in the file."""
    default = asdict(Settings())
    changed = {key: value for key, value in asdict(settings).items() if value != default[key]}
    values: dict[str, Value] = {}
    for key in KEYS:
        if key in changed:
            value = changed[key]
            values[key] = list(value) if isinstance(value, tuple) else value
    for key, field in (("capacity", "capacity_bytes"), ("owner_quota", "owner_quota_bytes")):
        if field in changed:
            values[key] = str(changed[field])
    return {**values, **_accept_written(settings)} if "accept" in values else values


def _accept_written(settings: Settings) -> dict[str, Value]:
    file = f" {settings.owners_file}" if settings.accept == "owners" else ""
    return {"accept": settings.accept + file}


def shown(settings: Settings) -> dict[str, Value | None]:
    """Every setting with its value, as it is written; None where nothing is decided yet."""
    fields = asdict(settings)
    values = {key: fields.get(key, fields.get(f"{key}_bytes")) for key in KEYS}
    return {**values, "advertise": list(settings.advertise), **_accept_written(settings)}


def to_toml(values: Mapping[str, Value]) -> str:
    """A config file with these values; ``parse_toml`` reads it back."""
    return "".join(f"{key} = {_toml_value(value)}\n" for key, value in values.items())


def _toml_value(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return _toml_string(value) if isinstance(value, str) else str(value)


def _toml_string(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(char):04x}" if char in '"\\' or ord(char) < 32 or ord(char) == 127 else char
        for char in text
    )
    return f'"{escaped}"'


def _read(key: str, value: object, source: str) -> dict[str, object]:
    try:
        return _READERS[key](value)
    except ValueError as error:
        raise InvalidSetting(f"{source}: {key}: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is not printable text")
    return value


def _number(value: object) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ValueError(f"{str(value)[:40]!r} is not a whole number")
    return int(text)


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size such as 500MB or 10GiB")
    return parse_size(str(value))


def _addresses(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(text.strip() for text in value.split(",") if text.strip())
    if isinstance(value, list | tuple):
        return tuple(_text(item) for item in value)
    raise ValueError(f"{value!r} is not a list of HOST:PORT")


def _accept(value: object) -> dict[str, object]:
    kind, _, file = _text(value).strip().partition(" ")
    if file and kind != "owners":
        raise ValueError(f"{kind!r} takes no file")
    return {"accept": kind, "owners_file": file.strip()}


_READERS: Final[dict[str, Callable[[object], dict[str, object]]]] = {
    "network": lambda value: {"network": _text(value)},
    "listen": lambda value: {"listen": _text(value)},
    "advertise": lambda value: {"advertise": _addresses(value)},
    "capacity": lambda value: {"capacity_bytes": _size(value)},
    "replicas": lambda value: {"replicas": _number(value)},
    "min_acks": lambda value: {"min_acks": _number(value)},
    "accept": _accept,
    "owner_quota": lambda value: {"owner_quota_bytes": _size(value)},
    "domain": lambda value: {"domain": _text(value)},
}

assert DEFAULT_REPLICAS >= MIN_ACKS_DEFAULT
assert set(_READERS) == set(KEYS)
assert {field.name for field in fields(Settings)} >= set(KEYS) - {"capacity", "owner_quota"}
