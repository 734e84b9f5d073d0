"""Projections of out-of-fold label scores to bits, improved on average precision itself.

A function that is linear in its targets gives, for targets Y M, the margins F M when it gives the scores F for the
labels Y. Its out-of-fold codes for any class codes M, and for any real M as well, are therefore the signs of F M: what
can be searched is how well held-out codes retrieve, without fitting a function again.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from hashers import metrics, packing
from hashers.kernels.soft_precision import soft_average_precision

__all__ = ["ScoreSpace"]

BATCH = (250, 2000)
"""Queries and database items drawn for a step."""

MOMENTUM, MEMORY = 0.9, 0.99
"""Decay of the means of the gradient and of its square."""

START_RIDGE = 2.5e-3
"""Ridge of the projection that stands for given codes, per training point: labels that few points have move it little.
"""

TINY = np.finfo(float).tiny


class ScoreSpace:
    """Out-of-fold scores of points beside the scores that their labels ought to give.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, L), float64
        Out-of-fold margins for targets of -1 and +1.
    S : bqp.supervision.GroupedSimilarity
        Every point known.
    labels : ndarray of shape (C, L), float64
        0/1 label vectors of the groups of S.

    Attributes
    ----------
    points : ndarray of shape (n_samples, L + 1), float32
        Scores, centred and divided by their root mean squared length, and a constant.
    ideal : ndarray of shape (C, L + 1), float64
        Perfect scores of each group, in the same units.
    """

    def __init__(self, scores, S, labels):
        mean = scores.mean(axis=0)
        scale = np.sqrt(((scores - mean) ** 2).sum(axis=1).mean()) or 1.0
        self.points = _with_constant((scores - mean) / scale).astype(np.float32)
        self.ideal = _with_constant((2 * labels - 1 - mean) / scale)
        self.groups = np.asarray(S.groups)
        self.relevant = np.asarray(S.T) > 0
        self.mass = np.bincount(self.groups, minlength=S.n_groups)
        is_set = S.classes is not None and np.ndim(S.classes) == 2
        self.y = labels[self.groups].astype(np.uint8) if is_set else self.groups

    def __len__(self):
        return len(self.points)

    def projection(self, codes):
        """The projection (L + 1, n_bits) that takes perfect scores to given codes (C, n_bits), as nearly as ridge can.

        Minimises sum_g n_g |m_g - P'e_g|^2 + ridge |P|^2 without the constant, n_g the points of group g.
        """
        weighted = self.ideal * self.mass[:, None]
        G = weighted.T @ self.ideal
        G[np.diag_indices_from(G)] += np.r_[np.full(len(G) - 1, START_RIDGE * len(self)), 1e-9 * len(self)]
        return self.scaled(np.linalg.solve(G, weighted.T @ codes))

    def codes(self, P):
        """Codes of perfect scores, one row a group; shape (C, n_bits), int8."""
        return packing.signs(self.ideal @ P)

    def scaled(self, P):
        """`P` with bits whose margins have mean absolute value 1."""
        return P / np.maximum(np.abs(self.points @ P).mean(axis=0), 1e-30)

    def mixed(self, P, share):
        """Part `P`, part the projection of its codes: 1 is `P`, 0 the projection that stands for class codes."""
        if share == 1:
            return P
        return self.scaled(share * self.scaled(P) + (1 - share) * self.projection(self.codes(P)))

    def average_precision(self, P, rows, n_jobs=1):
        """AP of the out-of-fold code of each of `rows`, each half of them against the other; ties in expectation."""
        B = packing.signs(self.points[rows] @ P)
        y, half = self.y[rows], len(rows) // 2
        ways = [(slice(half), slice(half, None)), (slice(half, None), slice(half))]
        return np.concatenate(
            [metrics.average_precision(B[a], B[b], y[a], y[b], unlabeled=None, n_jobs=n_jobs) for a, b in ways]
        )

    def ascend(self, P, rows, rate, n_steps, rng):
        """Raise the average precision of relaxed out-of-fold codes by stochastic gradient steps.

        Parameters
        ----------
        P : ndarray of shape (L + 1, n_bits)
            Start.
        rows : ndarray, int
            Points that take part.
        rate : float
            First step, relative to the size of an entry of `P`; it falls to 0 along a cosine.
        n_steps, rng : int

        Returns
        -------
        P : ndarray of shape (L + 1, n_bits), float64
            Mean over the second half of the steps.
        course : ndarray of shape (n_steps,), float64
            Relaxed MAP of each batch.

        Notes
        -----
        A code is relaxed to tanh(P'z). Steps follow the mean gradient divided by its root mean square over a bit, not
        over an entry: directions that scores hardly take stay where they are, which entrywise steps (Adam) do not
        grant and which costs 1 point of MAP on 374 labels. O(250 * 2000 q) a step.
        """
        rng = np.random.default_rng(rng)
        P = self.scaled(P).astype(np.float32)
        n_bits = P.shape[1]
        n_query = min(BATCH[0], max(1, len(rows) // 4))
        n_database = min(BATCH[1], len(rows) - n_query)
        length = rate * np.sqrt(np.mean(P[:-1] ** 2))
        momentum, size, total = np.zeros_like(P), np.zeros(n_bits), np.zeros(P.shape)
        precision, slopes = np.empty(n_query), np.empty((n_query, n_database), np.float32)
        course = np.empty(n_steps)
        with threadpool_limits(1):
            for step in range(n_steps):
                drawn = rng.choice(rows, n_query + n_database, replace=False)
                query, database = drawn[:n_query], drawn[n_query:]
                U, V = np.tanh(self.points[query] @ P), np.tanh(self.points[database] @ P)
                distances = (-0.5 * U) @ V.T
                distances += np.float32(0.5 * n_bits)
                np.clip(distances, 0, n_bits, out=distances)
                relevant = self.relevant[self.groups[query]][:, self.groups[database]]
                soft_average_precision(distances, relevant, n_bits, precision, slopes)
                course[step] = precision.mean()
                at_query, at_database = (slopes @ V) * (1 - U * U), (slopes.T @ U) * (1 - V * V)
                gradient = self.points[query].T @ at_query + self.points[database].T @ at_database  # times -2 n_query
                momentum += (1 - MOMENTUM) * (gradient - momentum)
                size += (1 - MEMORY) * ((gradient**2).mean(axis=0) - size)
                direction = momentum / (1 - MOMENTUM ** (step + 1))
                rms = np.sqrt(size / (1 - MEMORY ** (step + 1)))
                fall = (1 + np.cos(np.pi * step / n_steps)) / 2
                P -= (length * fall * direction / np.maximum(rms, TINY)).astype(np.float32)
                if step >= n_steps // 2:
                    total += P
        return total / (n_steps - n_steps // 2), course


def _with_constant(Z):
    return np.c_[Z, np.ones(len(Z))]
