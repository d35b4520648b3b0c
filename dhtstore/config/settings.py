"""Operator settings: what one node may be told.  The only place where they are declared.

The file, the environment, the flags of ``join`` and the ``config`` command derive from this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dhtstore.config import values
from dhtstore.config.declaration import Setting, setting, settings_of
from dhtstore.config.quantities import counted, format_size
from dhtstore.config.rates import NO_LIMIT, RateSchedule, rate_schedule
from dhtstore.config.values import AcceptRule
from dhtstore.errors import InvalidSetting
from dhtstore.params import (
    ADDRESSES_PER_TICKET_MAX,
    DEFAULT_NETWORK,
    DEFAULT_REPLICAS,
    GRACE_MAX_S,
    LOOKUP_PATHS_MAX,
    MIN_ACKS_DEFAULT,
    NETWORK_NAME_MAX_BYTES,
    OWNER_DIVISOR,
    REPLICAS_MAX,
)

DEFAULT_PORT: Final = 7400
DOMAIN_MAX_BYTES: Final = 64


def _can_be_had(min_acks: int | None, settings: Settings) -> str:
    if min_acks is None or 0 <= min_acks <= settings.replicas:
        return ""
    wanted = counted(min_acks, "copy", "copies")
    return f"{wanted} can't be had from {counted(settings.replicas, 'replica')}"


def _is_part_of_capacity(donate_bytes: int, settings: Settings) -> str:
    capacity_bytes = settings.capacity_bytes
    if capacity_bytes is not None and donate_bytes > capacity_bytes:
        return f"more than the capacity of {format_size(capacity_bytes)}, of which it is a part"
    return values.is_size(donate_bytes, settings)


@dataclass(frozen=True, slots=True)
class Settings:
    """One node's settings, valid as a whole; raises InvalidSetting naming the key.

    ``capacity_bytes`` None means "half of the free disk", decided and written down at the first
    start; 0 makes a client.  ``disk_reserve_bytes`` of the disk are left free, whatever the
    capacity; None means a hundredth of it, at most DISK_RESERVE_MAX_BYTES.  ``min_acks`` None means
    2, or ``replicas`` if that is smaller.
    ``accept_rule`` says whose data this disk takes: that of its own owner,
    of the owners listed (hex keys, one a line) in a file, or of anyone in the network;
    ``network`` knows no shares, ``anyone`` does: one owner has its quota (``owner_quota_bytes``;
    None means half of the capacity), and ``replication.admission`` bounds origins and newcomers.
    ``donate_bytes`` of the capacity are for what is short of copies: nobody's put takes them.
    ``domain`` labels a failure domain: copies avoid sharing one.  ``lookup_paths`` is on how many
    paths with no node in common records are looked for.  ``limit_up`` and ``limit_down``
    bound the blocks that leave and come.
    """

    network: str = setting(
        "network",
        values.text,
        "Network to be part of.",
        "NAME",
        default=DEFAULT_NETWORK,
        check=values.is_text_of(1, NETWORK_NAME_MAX_BYTES),
    )
    listen: str = setting(
        "listen",
        values.text,
        "UDP and TCP; port 0 picks one.",
        "HOST:PORT",
        default=f"0.0.0.0:{DEFAULT_PORT}",
        check=values.is_place,
    )
    advertise: tuple[str, ...] = setting(
        "advertise",
        values.addresses,
        f"Addresses to tell others, up to {ADDRESSES_PER_TICKET_MAX}.",
        "HOST:PORT",
        default=(),
        write=list,
        check=values.are_places(ADDRESSES_PER_TICKET_MAX),
        repeats=True,
        unset="those of every interface",
    )
    capacity_bytes: int | None = setting(
        "capacity",
        values.size,
        "Disk to give, e.g. 200GB; 0: none.",
        "SIZE",
        default=None,
        check=values.is_capacity,
        unset="half of the free disk at the first start",
    )
    disk_reserve_bytes: int | None = setting(
        "disk_reserve",
        values.size,
        "Free disk left alone.",
        "SIZE",
        default=None,
        check=values.is_size,
        unset="1 % of the disk, at most 1 GB",
    )
    replicas: int = setting(
        "replicas",
        values.number,
        "Copies of what is put here.",
        "N",
        default=DEFAULT_REPLICAS,
        check=values.is_within(1, REPLICAS_MAX),
    )
    min_acks: int | None = setting(
        "min_acks",
        values.number,
        "Copies a put must reach.",
        "N",
        default=None,
        check=_can_be_had,
        unset="2, or --replicas if less",
    )
    accept_rule: AcceptRule = setting(  # noqa: RUF009 - declares a field
        "accept",
        values.accept_rule,
        "mine, 'owners FILE', network or anyone.",
        "WHOM",
        default=AcceptRule("anyone"),
        write=str,
        check=values.is_accept_rule,
    )
    owner_quota_bytes: int | None = setting(
        "owner_quota",
        values.size,
        "The most that one foreign owner gets.",
        "SIZE",
        default=None,
        check=values.is_size,
        unset="half of the capacity",
    )
    domain: str = setting(
        "domain",
        values.text,
        "Failure domain; copies avoid sharing one.",
        "LABEL",
        default="",
        check=values.is_text_of(0, DOMAIN_MAX_BYTES),
        unset="none",
    )

    lookup_paths: int = setting(
        "lookup_paths",
        values.number,
        "Node-disjoint paths of a search for records.",
        "N",
        default=1,
        check=values.is_within(1, LOOKUP_PATHS_MAX),
    )
    limit_up: RateSchedule = setting(  # noqa: RUF009 - declares a field
        "limit_up",
        rate_schedule,
        "Most to send, e.g. '5MB/s, 22:00-06:00 unlimited'.",
        "RATE",
        default=NO_LIMIT,
        write=str,
    )
    limit_down: RateSchedule = setting(  # noqa: RUF009 - declares a field
        "limit_down",
        rate_schedule,
        "Most to fetch, as --limit-up.",
        "RATE",
        default=NO_LIMIT,
        write=str,
    )

    donate_bytes: int = setting(
        "donate",
        values.size,
        "Part of the capacity for strangers' data that is short of copies.",
        "SIZE",
        default=0,
        check=_is_part_of_capacity,
    )
    repair_budget_bytes: int | None = setting(
        "repair_budget",
        values.size,
        "The most that repairs send in a day; 0 for none.",
        "SIZE",
        default=None,
        check=values.is_size,
        unset="a twentieth of the capacity",
    )
    repair_grace_s: float = setting(
        "repair_grace",
        values.duration,
        "How long a holder may be silent at most before its copies are replaced.",
        "TIME",
        default=GRACE_MAX_S,
        write=values.hours,
        check=values.is_grace,
    )

    def __post_init__(self) -> None:
        for each in SETTINGS:
            problem = each.check(getattr(self, each.field), self)
            if problem:
                raise InvalidSetting(f"{each.key}: {problem}")

    @property
    def accept(self) -> str:
        """ "mine", "owners", "network" or "anyone"."""
        return self.accept_rule.accept

    @property
    def owners_file(self) -> str:
        """The file that lists the owners; "" where none are listed."""
        return self.accept_rule.owners_file

    @property
    def owner_divisor(self) -> int:
        """Which part of the capacity the most for one owner is; 0 where it was chosen."""
        if self.accept != "anyone":
            return 1
        return OWNER_DIVISOR if self.owner_quota_bytes is None else 0

    @property
    def owner_limit_bytes(self) -> int | None:
        """The most one foreign owner may occupy here; None for no limit."""
        if self.accept != "anyone":
            return None
        if self.owner_quota_bytes is not None:
            return self.owner_quota_bytes
        if self.capacity_bytes is None:
            return None
        return self.capacity_bytes // OWNER_DIVISOR


SETTINGS: Final[tuple[Setting, ...]] = settings_of(Settings)
KEYS: Final = tuple(each.key for each in SETTINGS)

assert DEFAULT_REPLICAS >= MIN_ACKS_DEFAULT
