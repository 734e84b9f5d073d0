"""Mutual information between distance and similarity.

F. Cakir, K. He, S. A. Bargal, S. Sclaroff, "MIHash: Online Hashing with Mutual Information", ICCV 2017, and "Hashing
with Mutual Information", IEEE TPAMI 41, 2019 (equations 4 to 9).
"""

from hashers.deep.losses._histograms import relaxed_distance, soft_histogram
from hashers.deep.losses.base import HashLoss, weighted_mean

__all__ = ["MIHash"]

LEAST = 1e-12
"""Probabilities below this add nothing to an entropy, and have a finite gradient."""


class MIHash(HashLoss):
    """Minus the mutual information of distance and similarity, each row of the batch as a query.

    With P = p(distance | similar), N = p(distance | dissimilar), p the share of similar rows and D = p P + (1 - p) N:
    ``-(H(D) - p H(P) - (1 - p) H(N))`` in nats, mean over the queries with rows of both kinds. Distances
    ``(q - h_i.h_j) / 2`` of h = tanh(sharpness u) go to soft histograms.

    Parameters
    ----------
    sharpness : float
        The authors' is 1/2. Of flat codes the information saturates while they are far from -1 and +1, and their signs
        carry less of it.
    n_bins : int, optional
        Bins of the histogram; default n_bits / 4: with a bin a bit, distances one bit apart count as well as far ones.
    """

    def __init__(self, sharpness=3.0, n_bins=None):
        self.sharpness = sharpness
        self.n_bins = n_bins

    def codes(self, outputs, progress=1.0):
        return (self.sharpness * outputs).tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        q = H.shape[1]
        distance, n_bins = relaxed_distance(H), self.n_bins or max(1, q // 4)
        near = soft_histogram(distance, pairs.weight * pairs.similar, q, n_bins)
        far = soft_histogram(distance, pairs.weight * (1.0 - pairs.similar), q, n_bins)
        n_near, n_far = near.sum(dim=1), far.sum(dim=1)
        n = (n_near + n_far).clamp_min(1e-30)[:, None]
        joint = _entropy(near / n) + _entropy(far / n)  # H(D | C) + H(C) = H(D, C)
        kinds = _entropy((n_near / n[:, 0])[:, None]) + _entropy((n_far / n[:, 0])[:, None])
        information = _entropy((near + far) / n) + kinds - joint
        return -weighted_mean(information, ((n_near > 0) & (n_far > 0)).to(H.dtype))


def _entropy(p):
    return -(p * p.clamp_min(LEAST).log()).sum(dim=1)
