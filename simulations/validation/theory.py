"""What theory says a Kademlia network must show: the yardsticks of the laboratory.

Notation: N nodes, buckets of k, lookups with one request in flight (alpha = 1) that take the
closest contact of each answer (beta = 1).  Hops count from 1 for what the own table holds; the
hop of the closest node is 1 + the depth of the chain of answers that first revealed it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from simulations.events.sessions import Durations

_BUCKETS = 160
_TAIL = 1e-13  # probabilities below this change no printed digit
_SIMPSON_STEPS = 2000

# Hops of a full lookup with alpha = 3 and all k contacts of each answer taken, by N and k: from a
# vectorised simulation of tables filled uniformly at random, not from a closed form.
HOPS_ALPHA_3: Mapping[tuple[int, int], float] = {
    (10_000, 8): 2.908,
    (1_000_000, 8): 4.154,
    (10_000_000, 8): 4.800,
    (10_000, 20): 2.419,
    (100_000, 20): 2.925,
    (1_000_000, 20): 3.454,
    (10_000_000, 20): 3.924,
}


def bits_per_hop(k: int) -> float:
    """Bits by which the best of k random contacts of the right bucket is closer, about
    1.3327 + log2 k (Stutzbach & Rejaie 2006)."""
    return 1 + sum(1 - (1 - 2.0**-j) ** k for j in range(1, _BUCKETS))


def hops_rule_of_thumb(nodes: int, k: int) -> float:
    return 1 + math.log2(nodes / k) / bits_per_hop(k)


def expected_hops(nodes: int, k: int) -> float:
    """Mean hop of the closest node, alpha = beta = 1: the recursion over what is left.

    n nodes share the prefix that the target and the node asked have in common.  It knows k of
    them; unless the closest is among these (``miss``), the best of k gains 1 + G bits, G the
    largest of k geometric variables.
    """
    hops = _hops_table(float(nodes), k)
    return sum(hops[min(j + 1, len(hops) - 1)] * 2.0 ** -(j + 1) for j in range(_BUCKETS))


def _depth(nodes: float) -> int:
    """Levels until nobody is left to share the prefix with."""
    return max(1, math.ceil(math.log2(nodes)) + 30)


def _gains(k: int) -> list[float]:
    """P(the largest of k geometric variables is j), j = 0, 1, ..."""
    return [
        (1 - 2.0 ** -(j + 1)) ** k - (1 - 2.0**-j) ** k if j else 0.5**k for j in range(_BUCKETS)
    ]


@functools.cache
def _hops_table(nodes: float, k: int) -> tuple[float, ...]:
    """Entry m: expected hops when nodes * 2^-m share the prefix."""
    gains, depth = _gains(k), _depth(nodes)
    table = [1.0] * (depth + 1)
    for m in range(depth - 1, -1, -1):
        onward = sum(
            gain * table[min(m + 1 + j, depth)] for j, gain in enumerate(gains) if gain > _TAIL
        )
        table[m] = 1 + _miss(nodes * 2.0**-m, k) * onward
    return tuple(table)


def _miss(n: float, k: int) -> float:
    """E[max(0, 1 - k / (1 + Pois(n)))]: that the closest of those left is none of the k known."""
    return sum(p * (1 - k / (1 + x)) for x, p in _poisson(n) if 1 + x > k)


def _poisson(mean: float) -> Sequence[tuple[int, float]]:
    """Values of a Poisson variable within ten standard deviations, with their probabilities."""
    reach = 10 * math.sqrt(mean) + 30
    low, high = max(0, int(mean - reach)), int(mean + reach)
    if mean <= 0:
        return [(0, 1.0)]
    step = max(1, (high - low) // 4000)  # wide distributions are smooth: sum over every step-th
    log_mean = math.log(mean)
    return [
        (x, step * math.exp(x * log_mean - mean - math.lgamma(x + 1)))
        for x in range(low, high + 1, step)
    ]


# --- routing tables -------------------------------------------------------------------------


def bucket_candidates(nodes: int, bucket: int) -> float:
    """How many of the other nodes fall into bucket j (0: the far half), on average."""
    return (nodes - 1) * 2.0 ** -(bucket + 1)


def bucket_fill(nodes: int, k: int, bucket: int) -> float:
    """E[min(k, candidates)]: the mean size of a bucket that knows all it can."""
    return k - sum(p * (k - x) for x, p in _candidates_below(nodes, k, bucket))


def bucket_full(nodes: int, k: int, bucket: int) -> float:
    """The share of nodes whose bucket can be full: at least k candidates."""
    return 1 - sum(p for _, p in _candidates_below(nodes, k, bucket))


def _candidates_below(nodes: int, k: int, bucket: int) -> list[tuple[int, float]]:
    """(x, probability) for every x < k of the binomial number of candidates."""
    if bucket_candidates(nodes, bucket) > 50 * k:
        return []  # fewer than k of that many is out of the question
    n, p = nodes - 1, 2.0 ** -(bucket + 1)
    log_odds, log_none = math.log(p) - math.log1p(-p), n * math.log1p(-p)
    return [
        (x, math.exp(_log_choose(n, x) + x * log_odds + log_none)) for x in range(min(k, n + 1))
    ]


def _log_choose(n: int, x: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1)


def table_size(nodes: int, k: int) -> float:
    """Contacts in a table that knows all it can."""
    return sum(bucket_fill(nodes, k, bucket) for bucket in range(_BUCKETS))


def closest_prefix_bits(nodes: int) -> float:
    """Mean length of the prefix a random key shares with its closest node: log2 N + 0.3327."""
    return math.log2(nodes) + 0.3327


def kth_prefix_bits(nodes: int, k: int) -> float:
    """Mean length of the prefix a node shares with the k-th closest other: the sum over b of
    P(at least k of them share b bits)."""
    return sum(bucket_full(nodes, k, bits - 1) for bits in range(1, _BUCKETS))


# --- lifetimes ------------------------------------------------------------------------------


def residual_survival(durations: Durations, after_s: float) -> float:
    """The share of nodes found up that are still up ``after_s`` later:
    (1 / mean) * integral of S from there on, as 1 - the integral up to there (Simpson's rule)."""
    width = after_s / _SIMPSON_STEPS
    heights = [durations.survival(step * width) for step in range(_SIMPSON_STEPS + 1)]
    inner = 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])
    area = (heights[0] + inner + heights[-1]) * width / 3
    return max(0.0, 1 - area / durations.mean_s)


def stays_another(durations: Durations, up_s: float, another_s: float) -> float:
    """P(up for ``another_s`` more | up for ``up_s``): rises with uptime for Weibull shapes below
    1 (Kademlia 2002, figure 3)."""
    return durations.survival(up_s + another_s) / durations.survival(up_s)


def all_gone(durations: Durations, holders: int, after_s: float) -> float:
    """P(none of the holders, chosen among live nodes, is still in that session)."""
    return (1 - residual_survival(durations, after_s)) ** holders


# --- adversaries, replication, durability ----------------------------------------------------


def disjoint_success(hops: Mapping[int, float], malicious: float, paths: int) -> float:
    """P(a lookup succeeds) over disjoint paths: sum_h p_h [1 - (1 - (1-m)^h)^d] (S/Kademlia)."""
    return sum(p * (1 - (1 - (1 - malicious) ** h) ** paths) for h, p in hops.items())


def availability(node: float, replicas: int) -> float:
    """P(at least one of the copies is up)."""
    return 1 - (1 - node) ** replicas


def coded_availability(node: float, needed: int, pieces: int) -> float:
    """P(at least ``needed`` of the pieces are up), as for erasure codes."""
    return sum(
        math.comb(pieces, i) * node**i * (1 - node) ** (pieces - i)
        for i in range(needed, pieces + 1)
    )


def maintenance_bytes_per_s(stored_bytes: float, nodes: int, lifetime_s: float) -> float:
    """Upload and download of one node to keep the data: 2 (S/N) / T (Blake & Rodrigues 2003)."""
    return 2 * stored_bytes / nodes / lifetime_s


def mean_time_to_loss_s(
    replicas: int, failure_mean_s: float, repair_mean_s: float, *, parallel: bool = True
) -> float:
    """From all copies present to none: exact for a birth-death chain with exponential failures
    and repairs, which run one per missing copy (``parallel``) or one at a time."""
    lost, total = 0.0, 0.0  # expected time from i copies to i - 1, summed from the top
    for copies in range(replicas, 0, -1):
        missing = replicas - copies
        repairs = (missing if parallel else min(missing, 1)) / repair_mean_s
        failures = copies / failure_mean_s
        lost = (1 + repairs * lost) / failures
        total += lost
    return total
