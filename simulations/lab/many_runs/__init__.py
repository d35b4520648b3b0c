"""Several runs: branches of one world, sweeps over settings, searches for failures."""
