"""All attacks by name, and what each stands for."""

from __future__ import annotations

from typing import Final

from benchmarks.hostile.kit import connections, datagrams, holders, offers, requests
from benchmarks.hostile.kit.field import Attack

ATTACKS: Final[dict[str, Attack]] = {
    "datagrams-garbage": datagrams.garbage,
    "datagrams-fresh-keys": datagrams.fresh_keys,
    "datagrams-cookies": datagrams.cookies,
    "records-one-key": datagrams.one_key_full,
    "records-store": datagrams.store_full,
    "introductions": holders.introductions,
    "tables-silent": holders.silent_to_lookups,
    "tables-short-lived": holders.short_lived,
    "links-silent": connections.silent,
    "links-idle": connections.idle,
    "links-busy": connections.busy,
    "slow-readers": requests.slow_readers,
    "request-floods": requests.floods,
    "cancel-storms": requests.cancel_storms,
    "unasked-bodies": requests.unasked_bodies,
    "false-reports": requests.false_reports,
    "offers-hogging": offers.hogging,
    "offers-trickling": offers.trickling,
    "offers-longer": offers.longer,
    "offers-malformed": offers.malformed_at_the_end,
    "offers-interior": offers.interior,
    "offers-abandoned": offers.abandoned,
    "offers-filling": offers.filling,
    "blocks-dear": offers.dear_blocks,
    "liars": holders.liars,
}
# Below what simulated streams know.
SOCKET_ATTACKS: Final[dict[str, Attack]] = {
    "tcp-bare": connections.bare,
    "tcp-half-tls": connections.half_tls,
}
ALL_ATTACKS: Final = {**SOCKET_ATTACKS, **ATTACKS}
