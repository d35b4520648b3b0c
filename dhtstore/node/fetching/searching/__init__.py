"""When holders are looked for, beyond those that a fetch found first."""
