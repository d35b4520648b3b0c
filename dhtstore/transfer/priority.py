"""Whose transfers come first."""

from __future__ import annotations

from enum import Enum


class Priority(Enum):
    """Whether somebody waits for what is transferred, or the node does it by itself."""

    FOREGROUND = "foreground"
    BACKGROUND = "background"
