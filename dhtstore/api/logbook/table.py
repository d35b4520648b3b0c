"""Which trace events are worth telling an operator, how loudly, in which words.

What is not named here is for debugging; what ends in ``failed`` or ``damaged`` is a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dhtstore.api.logbook.limiter import OWN, STRANGERS, LinePace


@dataclass(frozen=True, slots=True)
class Told:
    """``pace`` is for how many lines of the kind there is room."""

    level: int
    text: str
    pace: LinePace = STRANGERS


EVENTS: Final[Mapping[str, Told]] = {
    # this node
    "node.joined": Told(logging.INFO, "this node serves", OWN),
    "node.stopping": Told(logging.INFO, "this node stops", OWN),
    "addresses.changed": Told(logging.INFO, "the addresses of this machine changed", OWN),
    "clock.jumped": Told(logging.INFO, "the machine slept or its clock was set", OWN),
    # peers
    "peers.known": Told(logging.INFO, "peers that are known", OWN),
    "link.open": Told(logging.INFO, "a peer connected"),
    "link.closed": Told(logging.INFO, "a connection to a peer was closed"),
    "link.refused": Told(logging.INFO, "a connection was refused"),
    "link.violation": Told(logging.INFO, "a peer broke the protocol"),
    # what is held for others
    "hold.taken": Told(logging.INFO, "an offer is taken"),
    "hold.refused": Told(logging.INFO, "an offer is refused"),
    "hold.held": Told(logging.INFO, "a unit is held"),
    "hold.ended": Told(logging.INFO, "a unit that was offered did not come"),
    # what this machine's user asks for
    "operation.done": Told(logging.INFO, "carried out", OWN),
    "operation.partly": Told(logging.INFO, "carried out in part", OWN),
    "operation.ended": Told(logging.INFO, "not carried out", OWN),
    # duties
    "reprovide.round": Told(logging.INFO, "what is kept was announced", OWN),
    "reprovide.failed": Told(logging.WARNING, "nobody could be told of a unit"),
    "reprovide.refused": Told(logging.INFO, "no index node took a record"),
    "policy.untold": Told(
        logging.INFO,  # whoever put it is told with the result
        "what is wanted of a put could be stored nowhere so far: its holders do so in their turn",
        OWN,
    ),
    "publish.failed": Told(logging.WARNING, "nobody could be told of copies"),
    "release.failed": Told(logging.DEBUG, "a reservation was not given back"),
    # what is wrong
    "unit.incomplete": Told(logging.INFO, "a unit that is kept lacks blocks"),
    "mend.done": Told(logging.INFO, "what a unit lacked here came back from other holders"),
    "store.failed": Told(logging.WARNING, "units that are kept lack blocks"),
    "task.failed": Told(logging.WARNING, "something that serves one peer or command failed"),
}
_WARNING: Final = Told(logging.WARNING, "something is wrong")
_OVER: Final = Told(logging.INFO, "the warning is over", OWN)
_DAMAGED: Final = Told(logging.WARNING, "damaged")
_OTHER: Final = Told(logging.DEBUG, "")


def told(event: str) -> Told:
    """How an event is told."""
    known = EVENTS.get(event)
    if known is not None:
        return known
    if event.endswith("failed"):
        return _WARNING
    if event.endswith("damaged"):
        return _DAMAGED
    return _OVER if event.endswith(".over") else _OTHER
