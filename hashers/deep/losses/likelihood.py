"""Likelihood of pairs: similar with probability sigma(theta), theta = alpha u_i.u_j.

W.-J. Li, S. Wang, W.-C. Kang, "Feature Learning Based Deep Supervised Hashing with Pairwise Labels", IJCAI 2016 (DPSH:
equation 5, with the term |b - u|^2);
H. Zhu, M. Long, J. Wang, Y. Cao, "Deep Hashing Network for Efficient Similarity Retrieval", AAAI 2016 (DHN: equations 4
and 7, with log cosh(|u| - 1));
Z. Cao, M. Long, J. Wang, P. S. Yu, "HashNet: Deep Learning to Hash by Continuation", ICCV 2017 (equations 4 and 5:
weights that balance similar and dissimilar pairs, and codes tanh(beta u) with rising beta).
"""

import math

from hashers.deep._torch import import_torch
from hashers.deep.losses.base import HashLoss, row_mean, weighted_mean

__all__ = ["DHN", "DPSH", "HashNet", "log_cosh"]


class DPSH(HashLoss):
    """Pairwise likelihood with squared quantization.

    Mean over known pairs of ``log(1 + e^theta) - s theta``, theta = alpha u_i.u_j and s in [0, 1], plus `eta` times the
    mean of ``(sgn(u) - u)^2``.

    Parameters
    ----------
    alpha : float
        The paper's is 1/2.
    eta : float
        Weight of the quantization term.
    """

    def __init__(self, alpha=0.5, eta=0.1):
        self.alpha = alpha
        self.eta = eta

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        softplus = import_torch().nn.functional.softplus
        theta = self.alpha * (H @ H.T)
        return weighted_mean(softplus(theta) - pairs.similar * theta, pairs.weight)

    def penalty(self, outputs, pairs, progress=1.0):
        return self.eta * row_mean((outputs.abs() - 1.0).square(), pairs.known)


class DHN(DPSH):
    """Pairwise likelihood with the logarithm of a hyperbolic cosine as quantization.

    As `DPSH`, with `eta` times the mean of ``log cosh(|u| - 1)``, a smooth ``||u| - 1|``.

    Parameters
    ----------
    alpha : float
        See `DPSH`.
    eta : float
        Weight of the quantization term.
    """

    def penalty(self, outputs, pairs, progress=1.0):
        return self.eta * row_mean(log_cosh(outputs.abs() - 1.0), pairs.known)


class HashNet(HashLoss):
    """Weighted pairwise likelihood of ``h = tanh(beta u)``, beta rising.

    Mean over similar pairs plus mean over dissimilar pairs of ``c (log(1 + e^theta) - s theta)``, where theta =
    alpha h_i.h_j and c is the share of common labels for similar label sets, else 1. That is the paper's weighted mean,
    where a pair has the weight ``c |S| / |S_1|`` or ``|S| / |S_0|``, with pairs counted in the batch instead of the
    training set.

    Parameters
    ----------
    alpha : float, optional
        Default 10 / n_bits, as in the authors' code.
    beta : float
        Last beta; it grows from 1 with the square root of the steps taken, as in the authors' code (there to about 7,
        in far longer training).
    """

    def __init__(self, alpha=None, beta=3.0):
        self.alpha = alpha
        self.beta = beta

    def codes(self, outputs, progress=1.0):
        return (math.sqrt(1.0 + (self.beta**2 - 1.0) * progress) * outputs).tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        softplus = import_torch().nn.functional.softplus
        alpha = 10.0 / H.shape[1] if self.alpha is None else self.alpha
        theta = alpha * (H @ H.T)
        loss = softplus(theta) - pairs.similar * theta
        alike = pairs.similar > 0.5
        return weighted_mean(loss * pairs.degree, pairs.weight * alike) + weighted_mean(loss, pairs.weight * ~alike)


def log_cosh(x):
    """log(cosh(x)) without overflow."""
    torch = import_torch()
    return x.abs() + torch.nn.functional.softplus(-2.0 * x.abs()) - math.log(2.0)
