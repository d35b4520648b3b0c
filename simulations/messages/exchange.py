"""One question between two nodes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.contact import Address

DATAGRAM, STREAM = "datagram", "stream"


@dataclass(slots=True)
class Exchange:
    """``kind`` is the procedure, the frame, or "dial"; ``about`` the key, CID, or other object of
    the question.  ``answer`` says what was answered, ``failure`` why nothing was, or not what was
    asked for; both are empty while it is open.  Times are virtual seconds, ``stop_s`` that of the
    answer's arrival (datagrams), of its being written (streams), or of the last that was known."""

    start_s: float
    stop_s: float
    source: Address
    target: Address
    via: str
    kind: str
    about: str
    answer: str = ""
    failure: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was answered with what was asked for."""
        return bool(self.answer) and not self.failure
