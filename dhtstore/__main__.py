"""``python -m dhtstore`` is the dhtstore command."""

from __future__ import annotations

from dhtstore.cli.main import main

main()
