"""Whole nodes under the attacks of the benchmark, in virtual time: what is left of each."""
