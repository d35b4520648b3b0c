"""Names of the places on the plane of latencies."""

REGIONS = (
    "north_america_east",
    "north_america_west",
    "europe",
    "asia_east",
    "asia_south",
    "south_america",
    "oceania",
)
