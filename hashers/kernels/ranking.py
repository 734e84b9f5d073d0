"""Rankings scored: the measures of tied rankings from counts, the walk in database order, real-valued distances.

A ranking is a row of groups (ties), nearest first; `counts` (n_groups, n_levels) says how many items of each relevance
level a group holds. Scores come as four sums for each rank limit k: precisions at the relevant ranks, relevant items,
discounted gain, and average precision divided by the relevant items found, all within the first k ranks.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel
from hashers.kernels.hamming import popcount

__all__ = [
    "count_groups",
    "distance_table",
    "real_distances",
    "score_ties",
    "shared_labels",
    "sort_keys",
    "stable_classes",
    "stable_groups",
    "stable_label_sets",
    "tie_ranks",
]

NEGLIGIBLE = 1e-20
"""Share of the likeliest number of hits below which a number of hits is left out of an expectation."""


@jit_kernel
def _tie_sum(size, relevant, taken, before, relevant_before, harmonic):
    """Expected sum of precisions at the relevant items among the first `taken` ranks of one tie, in O(1).

    Rank t = 0, 1, ... of the tie holds a relevant item with probability relevant / size, and then finds on average
    ``relevant_before + 1 + t (relevant - 1) / (size - 1)`` relevant items up to itself among ``before + 1 + t``: a
    constant plus a multiple of 1 / rank, so two harmonic numbers give the sum.
    """
    slope = (relevant - 1) / (size - 1) if size > 1 else 0.0
    spread = harmonic[before + taken] - harmonic[before]
    return relevant / size * ((relevant_before + 1 - slope * (before + 1)) * spread + slope * taken)


@jit_kernel
def _found_in_cut(size, relevant, taken, before, relevant_before, sum_before, harmonic):
    """Expected precision sum by relevant items found, where rank k cuts a tie after `taken` of its `size` items.

    The number of relevant items before the cut is hypergeometric, and given it the order is uniform again. Its weights
    follow from each other by ratios, starting at the likeliest number, so nothing overflows.
    """
    low, high = max(0, taken - (size - relevant)), min(taken, relevant)
    mode = min(max((taken + 1) * (relevant + 1) // (size + 2), low), high)
    norm = 0.0
    total = 0.0
    for upwards in range(2):
        weight = 1.0
        hits = mode
        if not upwards:
            if mode == low:
                continue
            weight = mode * (size - relevant - taken + mode) / ((relevant - mode + 1) * (taken - mode + 1))
            hits = mode - 1
        while low <= hits <= high and weight > NEGLIGIBLE:
            found = relevant_before + hits
            if found > 0:
                inside = 0.0
                if hits > 0:
                    inside = _tie_sum(taken, hits, taken, before, relevant_before, harmonic)
                total += weight * (sum_before + inside) / found
            norm += weight
            if upwards:
                weight *= (relevant - hits) * (taken - hits) / ((hits + 1) * (size - relevant - taken + hits + 1))
                hits += 1
            else:
                weight *= hits * (size - relevant - taken + hits) / ((relevant - hits + 1) * (taken - hits + 1))
                hits -= 1
    return total / norm


@jit_kernel
def score_ties(counts, rules, limits, gains, harmonic, discounts, sums, level_totals):
    """Score tied rankings by closed forms.

    Parameters
    ----------
    counts : ndarray of shape (n_query, n_groups, n_levels), int64
        Items of each group and level; level 0 is irrelevant.
    rules : ndarray of shape (n_rules,), int64
        Order inside a tie: 0 the average over all orders, 1 highest level first, 2 lowest level first.
    limits : ndarray of shape (n_limits,), int64
        Ranks that count.
    gains : ndarray of shape (n_levels,), float64
    harmonic, discounts : ndarray of shape (n + 1,), float64
        Prefix sums of 1 / rank and of 1 / log2(1 + rank); n is the size of the database at least.
    sums : ndarray of shape (n_rules, n_query, n_limits, 4), float64
        Written: see the head of this file.
    level_totals : ndarray of shape (n_query, n_levels), int64
        Written: items of each level; zero on entry.

    Notes
    -----
    O(n_groups n_levels) for each query, rule and limit, and O(k) more for the tie that a limit cuts.
    """
    n_query, n_groups, n_levels = counts.shape
    for a in range(n_query):
        for g in range(n_groups):
            for v in range(n_levels):
                level_totals[a, v] += counts[a, g, v]
    for r in range(rules.shape[0]):
        for a in range(n_query):
            for m in range(limits.shape[0]):
                k = limits[m]
                before = 0
                relevant_before = 0
                precision = 0.0
                hits = 0.0
                dcg = 0.0
                ratio = -1.0
                for g in range(n_groups):
                    if before >= k:
                        break
                    if rules[r] == 0:
                        size = 0
                        relevant = 0
                        gain = 0.0
                        for v in range(n_levels):
                            size += counts[a, g, v]
                            if v > 0:
                                relevant += counts[a, g, v]
                                gain += counts[a, g, v] * gains[v]
                        if size == 0:
                            continue
                        taken = min(k - before, size)
                        if relevant > 0:
                            if taken < size and relevant < size:
                                ratio = _found_in_cut(
                                    size, relevant, taken, before, relevant_before, precision, harmonic
                                )
                            precision += _tie_sum(size, relevant, taken, before, relevant_before, harmonic)
                            hits += relevant * (taken / size)
                            dcg += gain / size * (discounts[before + taken] - discounts[before])
                            relevant_before += relevant
                        before += size
                        continue
                    for step in range(n_levels):
                        v = n_levels - 1 - step if rules[r] == 1 else step
                        size = counts[a, g, v]
                        if size == 0 or before >= k:
                            continue
                        taken = min(k - before, size)
                        if v > 0:
                            precision += _tie_sum(size, size, taken, before, relevant_before, harmonic)
                            hits += taken
                            dcg += gains[v] * (discounts[before + taken] - discounts[before])
                            relevant_before += size
                        before += size
                if ratio < 0:
                    ratio = precision / hits if hits > 0 else 0.0
                sums[r, a, m, 0] = precision
                sums[r, a, m, 1] = hits
                sums[r, a, m, 2] = dcg
                sums[r, a, m, 3] = ratio


@jit_kernel
def _open_groups(counts, position, relevant):
    """Ranks and relevant items before each group of one query; `position` and `relevant` (n_groups,) are written."""
    before = 0
    relevant_before = 0
    for g in range(counts.shape[0]):
        position[g] = before
        relevant[g] = relevant_before
        before += counts[g, 0]
        for v in range(1, counts.shape[1]):
            before += counts[g, v]
            relevant_before += counts[g, v]


@jit_kernel
def _note_hit(rank, found, gain, limits, discount, sums):
    """Add a relevant item at `rank`, the `found`-th one, to the sums (n_limits, 4) of every limit; limits descend."""
    for m in range(limits.shape[0]):
        if rank > limits[m]:
            break
        sums[m, 0] += found / rank
        sums[m, 1] += 1
        sums[m, 2] += gain * discount[rank]


@jit_kernel
def _close_sums(sums):
    for m in range(sums.shape[0]):
        sums[m, 3] = sums[m, 0] / sums[m, 1] if sums[m, 1] > 0 else 0.0


@jit_kernel
def stable_classes(query, query_class, database, database_class, counts, limits, gains, discount, sums):
    """Score queries with ties in database order, classes as labels: one walk, ranks follow from the counts.

    Parameters
    ----------
    query, database : ndarray of shape (n, n_words), uint64
        Words of the codes, the database in its own order; read only.
    query_class, database_class : ndarray of shape (n,), int64
    counts : ndarray of shape (n_query, n_bits + 1, 2), int64
        Items at each distance and level, from `count_classes`.
    limits : ndarray of shape (n_limits,), int64
        Ranks that count, in descending order.
    gains, discount : ndarray of shape (n_levels,), (n + 1,), float64
        Gain of a level, 1 / log2(1 + rank).
    sums : ndarray of shape (n_query, n_limits, 4), float64
        Written; zero on entry.
    """
    n, n_words = database.shape
    position = np.empty(counts.shape[1], np.int64)
    relevant = np.empty(counts.shape[1], np.int64)
    for a in range(query.shape[0]):
        _open_groups(counts[a], position, relevant)
        for i in range(n):
            d = 0
            for w in range(n_words):
                d += popcount(query[a, w] ^ database[i, w])
            position[d] += 1
            if database_class[i] == query_class[a]:
                relevant[d] += 1
                _note_hit(position[d], relevant[d], gains[1], limits, discount, sums[a])
        _close_sums(sums[a])


@jit_kernel
def shared_labels(query, database, out):
    """Count the labels that each set shares with one query.

    Parameters
    ----------
    query : ndarray of shape (m,), uint64
    database : ndarray of shape (n_sets, m), uint64
        Bit masks of label sets; read only.
    out : ndarray of shape (n_sets,), int64
        Written.
    """
    for i in range(database.shape[0]):
        shared = 0
        for w in range(query.shape[0]):
            shared += popcount(query[w] & database[i, w])
        out[i] = shared


@jit_kernel
def stable_label_sets(query, query_labels, database, database_set, sets, counts, limits, gains, discount, sums):
    """Score queries with ties in database order, label sets as in `count_label_sets`; the rest as `stable_classes`."""
    n, n_words = database.shape
    position = np.empty(counts.shape[1], np.int64)
    relevant = np.empty(counts.shape[1], np.int64)
    shared = np.empty(sets.shape[0], np.int64)
    for a in range(query.shape[0]):
        _open_groups(counts[a], position, relevant)
        shared_labels(query_labels[a], sets, shared)
        for i in range(n):
            d = 0
            for w in range(n_words):
                d += popcount(query[a, w] ^ database[i, w])
            position[d] += 1
            level = shared[database_set[i]]
            if level > 0:
                relevant[d] += 1
                _note_hit(position[d], relevant[d], gains[level], limits, discount, sums[a])
        _close_sums(sums[a])


@jit_kernel
def stable_groups(group, level, counts, limits, gains, discount, sums):
    """Score one query with ties in database order, given the group and level (n,) of each item.

    `counts` (n_groups, n_levels) and `sums` (n_limits, 4) are those of the query; `sums` is zero on entry.
    """
    position = np.empty(counts.shape[0], np.int64)
    relevant = np.empty(counts.shape[0], np.int64)
    _open_groups(counts, position, relevant)
    for i in range(group.shape[0]):
        g = group[i]
        position[g] += 1
        if level[i] > 0:
            relevant[g] += 1
            _note_hit(position[g], relevant[g], gains[level[i]], limits, discount, sums)
    _close_sums(sums)


@jit_kernel
def distance_table(score, table):
    """Fill a table of what each byte of a database code adds to its real-valued distance from one query.

    Parameters
    ----------
    score : ndarray of shape (8 n_bytes,), float64
        What a bit of +1 is worth to this query; bits behind the last one hold 0. A bit that disagrees with the sign of
        its score costs the absolute score, one that agrees nothing.
    table : ndarray of shape (n_bytes, 256), float64
        Written.
    """
    for b in range(table.shape[0]):
        worst = 0.0
        for j in range(8):
            if score[8 * b + j] > 0:
                worst += score[8 * b + j]
        table[b, 0] = worst
        for j in range(8):
            half = 1 << j
            for x in range(half):
                table[b, half + x] = table[b, x] - score[8 * b + j]


@jit_kernel
def real_distances(codes, table, out):
    """Sum the table over the bytes of each code.

    Parameters
    ----------
    codes : ndarray of shape (m, n_bytes), uint8
        Read only.
    table : ndarray of shape (n_bytes, 256), float64
        From `distance_table`.
    out : ndarray of shape (m,), float64
        Written.
    """
    for i in range(codes.shape[0]):
        total = 0.0
        for b in range(codes.shape[1]):
            total += table[b, codes[i, b]]
        out[i] = total


@jit_kernel
def sort_keys(distances, scale, n_index_bits, keys):
    """Write integers (m,) that sort as the distances do and end in the position of their code.

    `scale` brings the largest distance below ``2**(62 - n_index_bits)``; rounding may leave a distance just below 0.
    """
    for i in range(distances.shape[0]):
        whole = np.int64(max(distances[i], 0.0) * scale)
        keys[i] = (whole << n_index_bits) | i


@jit_kernel
def tie_ranks(order, distances, tolerance, rank):
    """Number the ties along an ascending order; returns how many there are.

    Parameters
    ----------
    order : ndarray of shape (m,), int64
        Positions, or sort keys whose low bits were masked to positions.
    distances : ndarray of shape (m,), float64
    tolerance : float
        Neighbours in the order that differ by no more are tied.
    rank : ndarray of shape (m,), int64
        Written: tie of each position.
    """
    tie = 0
    for p in range(order.shape[0]):
        i = order[p]
        if p > 0 and distances[i] - distances[order[p - 1]] > tolerance:
            tie += 1
        rank[i] = tie
    return tie + 1


@jit_kernel
def count_groups(rank, code, level, group, counts):
    """Count the items of one query by tie and level.

    Parameters
    ----------
    rank : ndarray of shape (m,), int64
        Tie of each distinct code.
    code, level : ndarray of shape (n,), int64
        Distinct code and relevance level of each item.
    group : ndarray of shape (n,), int64
        Written: tie of each item.
    counts : ndarray of shape (n_groups, n_levels), int64
        Written; zero on entry.
    """
    for i in range(code.shape[0]):
        g = rank[code[i]]
        group[i] = g
        counts[g, level[i]] += 1
