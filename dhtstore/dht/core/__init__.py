"""Pure: the routing table, lookups, records, rates and estimates."""
