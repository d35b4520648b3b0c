"""The commands of ``python -m simulations``: each module adds its own to the parser."""
