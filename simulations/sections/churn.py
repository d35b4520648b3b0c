"""``[churn]``: when machines come and go."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.settings import choice, duration, duration_or, file_name, number, share


@dataclass(frozen=True, slots=True)
class ChurnSettings:
    """Sessions and absences.  With a preset the distributions come from the literature.

    ``arrivals``: brand-new machines besides those, each of which stays for one session (for ever
    without churn) and does not come back; ``arrivals_per_h`` is their mean rate in the network.
    """

    preset: str = choice("none", "kad", "bittorrent", "ipfs", "custom", "trace")
    session: str = choice("weibull", "exponential", "lognormal")
    session_median_s: float = duration("1 h", 1.0)
    session_shape: float = number(0.6, 0.1, 10.0)
    absence_median_s: float | None = duration_or("as sessions", 1.0)
    arrivals: str = choice("none", "poisson", "kad", "bittorrent")
    arrivals_per_h: float = number(60.0, 0.0, 1e6)
    trace_file: str = file_name()
    always_on: float = share(0)
    leave: float = share("50 %")
    keep_data: float = share("100 %")

    def __post_init__(self) -> None:
        if self.preset == "trace" and not self.trace_file:
            raise ValueError("preset 'trace' needs trace_file")
