"""Find exchangeable variables: rows of a symmetric matrix that agree apart from their own pair.

Rows are hashed in 64-bit integer arithmetic, so that equal rows always have equal hashes whatever the order of
summation; equal hashes are then confirmed entry by entry, so that unequal rows are never called twins.

Row i has H_i = sum over k of h(Q_ik) R_k with a random odd number R_k for each position and h(0) = 0. Twins i, j with
common entry v = Q_ij satisfy H_i + h(v) R_i = H_j + h(v) R_j, since each row lacks just its own position.
"""

import numpy as np

from bqp.kernels._jit import jit_kernel

__all__ = ["equal_row_labels", "twin_labels_dense", "twin_labels_sparse"]


@jit_kernel
def _mix(bits):
    """Splitmix64's finalizer: a bijection of the 64-bit integers that maps 0 to 0."""
    z = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit_kernel
def _find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@jit_kernel
def _labels(parent):
    """Number the trees of a union-find forest 0, 1, ... in order of their first member."""
    n = parent.shape[0]
    label = np.full(n, -1, np.int64)
    out = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        root = _find(parent, i)
        if label[root] < 0:
            label[root] = count
            count += 1
        out[i] = label[root]
    return out


@jit_kernel
def _hash_dense(bits, position):
    n = bits.shape[0]
    hashes = np.zeros(n, np.uint64)
    for i in range(n):
        total = np.uint64(0)
        for k in range(n):
            if k != i:
                total += _mix(bits[i, k]) * position[k]
        hashes[i] = total
    return hashes


@jit_kernel
def _twins_dense(Q, bits, hashes, position, order):
    n = Q.shape[0]
    parent = np.arange(n)
    # twins whose common entry is 0 have the same hash: neighbours in `order`, which sorts by hash
    for p in range(1, n):
        i, j = order[p - 1], order[p]
        if hashes[i] == hashes[j] and Q[i, j] == 0.0 and _same_dense(Q, i, j):
            parent[_find(parent, j)] = _find(parent, i)
    for i in range(n):
        if parent[i] != i:
            continue
        for j in range(i + 1, n):
            if Q[i, j] != 0.0 and parent[j] == j:
                h = _mix(bits[i, j])
                if hashes[i] + h * position[i] == hashes[j] + h * position[j] and _same_dense(Q, i, j):
                    parent[j] = i
    return _labels(parent)


@jit_kernel
def _same_dense(Q, i, j):
    for k in range(Q.shape[0]):
        if k != i and k != j and Q[i, k] != Q[j, k]:
            return False
    return True


@jit_kernel
def _hash_sparse(indptr, indices, bits, position):
    n = indptr.shape[0] - 1
    hashes = np.zeros(n, np.uint64)
    for i in range(n):
        total = np.uint64(0)
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] != i:
                total += _mix(bits[p]) * position[indices[p]]
        hashes[i] = total
    return hashes


@jit_kernel
def _twins_sparse(indptr, indices, data, bits, hashes, position, order):
    n = indptr.shape[0] - 1
    parent = np.arange(n)
    for p in range(1, n):
        i, j = order[p - 1], order[p]
        if hashes[i] == hashes[j] and _same_sparse(indptr, indices, data, i, j):
            parent[_find(parent, j)] = _find(parent, i)
    for i in range(n):
        if parent[i] != i:
            continue
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j > i and parent[j] == j:
                h = _mix(bits[p])
                same_hash = hashes[i] + h * position[i] == hashes[j] + h * position[j]
                if same_hash and _same_sparse(indptr, indices, data, i, j):
                    parent[j] = i
    return _labels(parent)


@jit_kernel
def _same_sparse(indptr, indices, data, i, j):
    p, end_p = indptr[i], indptr[i + 1]
    q, end_q = indptr[j], indptr[j + 1]
    while True:
        while p < end_p and (indices[p] == i or indices[p] == j):
            p += 1
        while q < end_q and (indices[q] == i or indices[q] == j):
            q += 1
        if p == end_p or q == end_q:
            return p == end_p and q == end_q
        if indices[p] != indices[q] or data[p] != data[q]:
            return False
        p += 1
        q += 1


def _positions(n: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(0x5EED))
    return rng.integers(0, 2**64, size=n, dtype=np.uint64) | np.uint64(1)


def _bits(values: np.ndarray) -> np.ndarray:
    return (np.ascontiguousarray(values, dtype=np.float64) + 0.0).view(np.uint64)  # + 0.0 turns -0.0 into 0.0


def twin_labels_dense(Q: np.ndarray) -> np.ndarray:
    """Label each variable of a dense symmetric matrix so that equal labels are twins; O(n**2), shape (n,) int64."""
    Q = np.ascontiguousarray(Q, dtype=np.float64)
    position = _positions(len(Q))
    bits = _bits(Q)
    with np.errstate(over="ignore"):  # hashes wrap around on purpose; only interpreted kernels say so
        hashes = _hash_dense(bits, position)
        return _twins_dense(Q, bits, hashes, position, np.argsort(hashes, kind="stable"))


def twin_labels_sparse(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Label each variable of a symmetric CSR matrix (sorted indices, no zeros) so that equal labels are twins."""
    position = _positions(len(indptr) - 1)
    bits = _bits(data)
    with np.errstate(over="ignore"):
        hashes = _hash_sparse(indptr, indices, bits, position)
        return _twins_sparse(indptr, indices, data, bits, hashes, position, np.argsort(hashes, kind="stable"))


def equal_row_labels(U: np.ndarray) -> np.ndarray:
    """Label the rows of a matrix so that equal labels mean equal rows; O(n r) and a sort, shape (n,) int64."""
    n, r = U.shape
    if U.dtype == np.int8:
        words = np.zeros((n, -(-r // 8) * 8), dtype=np.int8)
        words[:, :r] = U
        bits = words.view(np.uint64)
    else:
        bits = _bits(U).reshape(n, r)
    keys = bits @ _positions(bits.shape[1]) if bits.shape[1] else np.zeros(n, np.uint64)
    order = np.argsort(keys, kind="stable")
    start = np.ones(n, dtype=bool)
    start[1:] = (keys[order[1:]] != keys[order[:-1]]) | (U[order[1:]] != U[order[:-1]]).any(axis=1)
    labels = np.empty(n, dtype=np.int64)
    labels[order] = np.cumsum(start) - 1
    return labels
