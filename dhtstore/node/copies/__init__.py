"""Copies of units: made, held, signed for and served."""
