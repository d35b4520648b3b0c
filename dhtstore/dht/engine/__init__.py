"""Running them over an Endpoint: datagrams, calls, procedures, upkeep."""
