"""Blocks of points: growing them over a sign pattern, and reading the problem of one off a CSR matrix."""

from bqp.kernels._jit import jit_kernel

__all__ = ["block_pairs", "grow_block"]


@jit_kernel
def _join(indptr, indices, signs, forbidden, block_of, b, i):
    block_of[i] = b
    for p in range(indptr[i], indptr[i + 1]):
        if signs[p] > 0:
            forbidden[indices[p]] = b


@jit_kernel
def grow_block(indptr, indices, signs, free, n_free, b, limit, forbidden, block_of):
    """Grow block number b from the root free[0]: first what it attracts, then the other free points in order.

    A point may join while no pair with a member repels (sign +1). `free[:n_free]` holds the points without a block;
    it is compacted in place, and their new number is returned. `block_of` and `forbidden` start at -1.
    """
    root = free[0]
    _join(indptr, indices, signs, forbidden, block_of, b, root)
    size = 1
    for p in range(indptr[root], indptr[root + 1]):
        j = indices[p]
        if signs[p] < 0 and block_of[j] < 0 and forbidden[j] != b and size < limit:
            _join(indptr, indices, signs, forbidden, block_of, b, j)
            size += 1
    left = 0
    for k in range(n_free):
        i = free[k]
        if block_of[i] < 0 and forbidden[i] != b and size < limit:
            _join(indptr, indices, signs, forbidden, block_of, b, i)
            size += 1
        if block_of[i] < 0:
            free[left] = i
            left += 1
    return left


@jit_kernel
def block_pairs(indptr, indices, data, members, place, x, row, column, value, field):
    """The pairs inside a block, each once, and the field of the other points; returns the number of pairs.

    `place` holds -1 and is left so; `row`, `column` and `value` have room for all entries of the members' rows, and
    `field` receives sum_{j outside} A_ij x_j.
    """
    for k in range(members.shape[0]):
        place[members[k]] = k
    count = 0
    for k in range(members.shape[0]):
        i = members[k]
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            other = place[j]
            if other < 0:
                total += data[p] * x[j]
            elif other > k and data[p] != 0.0:
                row[count] = k
                column[count] = other
                value[count] = data[p]
                count += 1
        field[k] = total
    for k in range(members.shape[0]):
        place[members[k]] = -1
    return count
