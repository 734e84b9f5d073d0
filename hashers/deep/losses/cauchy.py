"""Losses that concentrate similar codes in a small Hamming ball: probabilities with heavy tails.

Y. Cao, M. Long, B. Liu, J. Wang, "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR 2018 (DCH: equations 5 to 8);
R. Kang, Y. Cao, M. Long, J. Wang, P. S. Yu, "Maximum-Margin Hamming Hashing", ICCV 2019 (MMHH: max-margin
t-distribution; its quantization term and the weights of pairs follow the authors' code).

The distance of two outputs is ``d = q / 2 (1 - cos(u_i, u_j))``, which is the Hamming distance of codes.
"""

from hashers.deep._torch import import_torch
from hashers.deep.losses.base import HashLoss, row_mean, weighted_mean
from hashers.deep.losses.likelihood import log_cosh

__all__ = ["DCH", "MMHH", "cosine_distance"]

LEAST = 1e-6
"""Distances below this, in bits, count as this where they are divided by; lengths of outputs likewise."""


class DCH(HashLoss):
    """Cauchy cross entropy with Cauchy quantization.

    Mean over similar pairs of ``c log(1 + d / gamma)`` plus mean over dissimilar pairs of ``log(1 + gamma / d)``, plus
    `quantization` times the mean over rows of ``log(1 + d(|u|, 1) / gamma)``. For c and the balance of pairs see
    `HashNet`.

    Parameters
    ----------
    gamma : float
        Scale of the distribution, in bits.
    quantization : float
        Weight of the quantization term.
    """

    def __init__(self, gamma=20.0, quantization=0.1):
        self.gamma = gamma
        self.quantization = quantization

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        distance = cosine_distance(H)
        near = (distance / self.gamma).log1p()
        far = (self.gamma / distance.clamp_min(LEAST)).log1p()
        return _balanced(near * pairs.degree, far, pairs)

    def penalty(self, outputs, pairs, progress=1.0):
        q = outputs.shape[1]
        length = import_torch().linalg.vector_norm(outputs, dim=1).clamp_min(LEAST)
        cosine = outputs.abs().sum(dim=1) / (length * q**0.5)
        distance = (0.5 * q * (1.0 - cosine)).clamp_min(0.0)
        return self.quantization * weighted_mean((distance / self.gamma).log1p(), pairs.known)


class MMHH(HashLoss):
    """Max-margin t-distribution: inside the ball of `radius` similar pairs cost nothing.

    Mean over similar pairs of ``c log(1 + max(0, d - H) / gamma)`` plus mean over dissimilar pairs of ``log(1 + gamma /
    max(H, d))``, plus `quantization` times the mean of ``log cosh(|u| - 1)``. For c and the balance of pairs see
    `HashNet`.

    Parameters
    ----------
    radius : float
        H, in bits: the radius of the Hamming ball that queries will search.
    gamma : float
        Scale of the distribution, in bits; 1 in the paper. From random weights that pulls similar pairs together far
        harder than it pushes others apart, and all codes end in one ball, where nothing pushes any more.
    quantization : float
        Weight of the quantization term.

    Notes
    -----
    Dissimilar pairs inside the ball have no gradient: the paper takes them for wrong labels. The paper's semi-batch
    memory of codes of other batches is left out.
    """

    def __init__(self, radius=2.0, gamma=16.0, quantization=0.1):
        self.radius = radius
        self.gamma = gamma
        self.quantization = quantization

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        distance = cosine_distance(H)
        near = ((distance - self.radius).clamp_min(0.0) / self.gamma).log1p()
        far = (self.gamma / distance.clamp_min(max(self.radius, LEAST))).log1p()
        return _balanced(near * pairs.degree, far, pairs)

    def penalty(self, outputs, pairs, progress=1.0):
        return self.quantization * row_mean(log_cosh(outputs.abs() - 1.0), pairs.known)


def cosine_distance(U):
    """Distances ``q / 2 (1 - cos)`` between all rows of U (b, q), at least 0; an output of length 0 is at q / 2."""
    unit = U / import_torch().linalg.vector_norm(U, dim=1, keepdim=True).clamp_min(LEAST)
    return (0.5 * U.shape[1] * (1.0 - unit @ unit.T)).clamp_min(0.0)


def _balanced(near, far, pairs):
    """Mean of what similarity costs plus mean of what dissimilarity costs; degrees between share a pair."""
    return weighted_mean(near, pairs.weight * pairs.similar) + weighted_mean(far, pairs.weight * (1.0 - pairs.similar))
