"""The laboratory: the production Node by the thousand, in virtual time.

For notebooks: ``from simulations import run, sweep, load`` (``simulations.notebook``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulations.notebook import load, run, sweep

__all__ = ["load", "run", "sweep"]


def __getattr__(name: str) -> Any:
    """What notebooks use, when it is asked for: everybody else imports this package too."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from simulations import notebook

    return getattr(notebook, name)
