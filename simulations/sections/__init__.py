"""The sections of a scenario file, a frozen dataclass each: every value with unit and bounds."""
