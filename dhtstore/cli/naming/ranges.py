"""--range: which bytes of a file."""

from __future__ import annotations

from dhtstore.config import parse_range
from dhtstore.errors import UsageError

Span = tuple[int, int | None]


def span_of(text: str | None) -> Span | None:
    """Where it begins, from the end of the file where negative, and where it ends, None at the end
    of the file; None if nothing was typed.  Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_range(text)
    except ValueError as error:
        raise UsageError(f"--range: {error}") from error
