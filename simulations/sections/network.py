"""``[network]``: latency, loss, bandwidth and who can be dialled."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.params import DATAGRAM_MAX_BYTES
from simulations.settings import choice, duration, file_name, number, rate, share, size


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Latency is one way and fixed per pair; ``low_s`` and ``high_s`` bound the uniform model.
    ``loss`` befalls each packet by itself or, with ``loss_burst_s``, the mean length of a burst,
    those of a line that fades, a share ``loss_in_burst`` of them; see ``world.network.bursts``.
    ``congestion``: what streams do about loss; a node asks for BBR and gets CUBIC, where the
    system does not have it or keeps it for the administrator, as most do."""

    latency: str = choice("coordinates", "uniform", "fixed", "matrix")
    fixed_s: float = duration("50 ms")
    low_s: float = duration("20 ms")
    high_s: float = duration("150 ms")
    matrix_file: str = file_name()
    matrix_unit: str = choice("ms", "s")
    jitter: float = share("5 %")
    loss: float = share(0)
    loss_burst_s: float = duration(0)
    loss_in_burst: float = share("50 %")
    duplicate: float = share(0)
    reorder: float = share(0)
    mtu_bytes: int = size(f"{DATAGRAM_MAX_BYTES} B", 64)
    up_bytes_per_s: float | None = rate("unlimited")
    down_bytes_per_s: float | None = rate("unlimited")
    congestion: str = choice("cubic", "bbr")
    undiallable: float = share(0)
    slow: float = share(0)
    slow_factor: float = number(10.0, 1.0, 1000.0)

    def __post_init__(self) -> None:
        if self.low_s > self.high_s:
            raise ValueError(f"low_s ({self.low_s:g} s) is more than high_s ({self.high_s:g} s)")
        if self.latency == "matrix" and not self.matrix_file:
            raise ValueError("latency 'matrix' needs matrix_file")
        if self.loss_burst_s and self.loss and self.loss >= self.loss_in_burst:
            raise ValueError("loss, the share in all, must be less than loss_in_burst")
