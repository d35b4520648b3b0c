"""Values of settings: read from what TOML, the environment or a flag gives, and checked."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dhtstore.config.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)
from dhtstore.params import CAPACITY_MIN_BYTES, REPAIR_GRACE_MAX_S, REPAIR_GRACE_MIN_S

ACCEPTS: Final = ("mine", "owners", "network", "anyone")
_DIGITS_MAX: Final = 18


class AcceptRule(NamedTuple):
    """Whose data a disk takes; ``owners_file`` lists them where ``accept`` is "owners"."""

    accept: str
    owners_file: str = ""

    def __str__(self) -> str:
        return f"{self.accept} {self.owners_file}" if self.accept == "owners" else self.accept


# --- readers: raise ValueError ---------------------------------------------------------------

_SIZE_MAX_BYTES: Final = 2**60


def text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{value!r} is not printable text")
    return value


def number(value: object) -> int:
    digits = str(value).strip()
    whole = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX
    if isinstance(value, bool) or not whole:
        raise ValueError(f"{str(value)[:40]!r} is not a whole number")
    return int(digits)


def size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size such as 500MB or 10GiB")
    return parse_size(str(value))


def duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a duration such as 90m or 48h")
    return parse_duration(str(value))


def hours(duration_s: float) -> str:
    """As it is written; ``duration`` reads it."""
    return f"{duration_s / 3600:g}h" if duration_s % 3600 == 0 else f"{duration_s:g}s"


def addresses(value: object) -> tuple[str, ...]:
    """A list, or text with commas."""
    if isinstance(value, str):
        return tuple(each.strip() for each in text(value).split(",") if each.strip())
    if isinstance(value, list | tuple):
        return tuple(text(each) for each in value)
    raise ValueError(f"{value!r} is not a list of HOST:PORT")


def accept_rule(value: object) -> AcceptRule:
    accept, _, file = text(value).strip().partition(" ")
    if file and accept != "owners":
        raise ValueError(f"{accept!r} takes no file")
    return AcceptRule(accept, file.strip())


# --- checks: what is wrong, or "" ------------------------------------------------------------


def is_text_of(low_bytes: int, high_bytes: int) -> Callable[[Any, Any], str]:
    bounds = f"{low_bytes} to {high_bytes}" if low_bytes else f"at most {high_bytes}"

    def check(value: str, settings: object) -> str:
        usable = value.isprintable() and low_bytes <= len(value.encode()) <= high_bytes
        return "" if usable else f"{bounds} printable bytes"

    return check


def is_within(low: int, high: int) -> Callable[[Any, Any], str]:
    def check(value: int, settings: object) -> str:
        return "" if low <= value <= high else f"{low} to {high}"

    return check


def is_size(value: int | None, settings: object) -> str:
    """Up to 1 EiB: more fits no counter, and is a slip of the pen."""
    if (value or 0) < 0:
        return "must not be negative"
    return "at most 1 EiB" if (value or 0) > _SIZE_MAX_BYTES else ""


def is_grace(value: float, settings: object) -> str:
    least, most = format_duration(REPAIR_GRACE_MIN_S), format_duration(REPAIR_GRACE_MAX_S)
    within = REPAIR_GRACE_MIN_S <= value <= REPAIR_GRACE_MAX_S
    return "" if within else f"from {least} to {most}"


def is_capacity(value: int | None, settings: object) -> str:
    """As ``is_size``, and 0 or enough for the index beside some blocks."""
    if 0 < (value or 0) < CAPACITY_MIN_BYTES:
        least = format_size(CAPACITY_MIN_BYTES)
        return f"at least {least}, of which the index of the blocks takes a part; or 0 to give none"
    return is_size(value, settings)


def is_place(value: str, settings: object) -> str:
    """HOST:PORT to listen on; port 0 picks one."""
    return _place_problem(value, 0) or host_problem(_host(value), listening=True)


def are_places(count_max: int) -> Callable[[Any, Any], str]:
    def check(values: tuple[str, ...], settings: object) -> str:
        if len(values) > count_max:
            return f"at most {count_max} addresses"
        problems = (_place_problem(each, 1) or host_problem(_host(each)) for each in values)
        return next(filter(None, problems), "")

    return check


def is_accept_rule(value: AcceptRule, settings: object) -> str:
    if value.accept not in ACCEPTS:
        return f"{value.accept!r} is none of {', '.join(ACCEPTS)}"
    if value.accept == "owners" and not value.owners_file:
        return "'owners' needs the file that lists them, as in 'owners FILE'"
    return ""


def host_problem(host: str, *, listening: bool = False) -> str:
    """Why an IP literal names no single host that others can reach, or to listen on; "" for one
    that does, and for a name, which is looked up later."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip  # IPv4 within IPv6
    if ip.is_multicast:
        return f"{host} is a multicast address: nobody in particular has it"
    if ip.version == 4 and ip.is_reserved:
        return f"{host} is a broadcast or reserved address: nobody in particular has it"
    if listening:
        return ""
    if ip.is_unspecified:
        return f"{host} stands for every address of a machine: name the one that others can reach"
    if ip.version == 6 and ip.is_link_local:
        return f"{host} is good on one link only: name an address that others can reach"
    return ""


def _host(place: str) -> str:
    return place.rpartition(":")[0].removeprefix("[").removesuffix("]")


def _place_problem(place: str, port_min: int) -> str:
    host, separator, port = place.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()):
        return f"{place[:80]!r} is not HOST:PORT"
    in_range = port_min <= int(port) <= 65535
    return "" if in_range else f"port {port} is not within {port_min} to 65535"
