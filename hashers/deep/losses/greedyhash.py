"""Classification of codes, through the sign.

S. Su, C. Zhang, K. Han, Y. Tian, "Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN", NeurIPS 2018
(equations 7 and 10).
"""

from typing import Any

from hashers.deep._torch import import_torch
from hashers.deep.losses.base import HashLoss, row_mean, signs, weighted_mean

__all__ = ["GreedyHash"]


class GreedyHash(HashLoss):
    """Classification of the signs by a linear layer, with the gradient handed straight through the sign.

    Mean over known rows of the cross entropy of the labels given ``sgn(u)``, plus `alpha` times the mean of
    ``||u| - 1|^p``. Backwards the sign counts as the identity. Label sets: one logistic loss a label (the paper has
    single labels).

    Parameters
    ----------
    alpha : float
        Weight of the penalty.
    p : float
        Its exponent.
    """

    needs_labels = True

    def __init__(self, alpha=0.1, p=3.0):
        self.alpha = alpha
        self.p = p

    def make_head(self, n_bits, n_labels):
        return import_torch().nn.Linear(n_bits, n_labels)

    def codes(self, outputs, progress=1.0):
        return outputs + (signs(outputs) - outputs).detach()

    def pair_loss(self, H, pairs, progress=1.0, head: Any = None):
        scores = head(H)
        if pairs.single:
            loss = scores.logsumexp(dim=1) - (scores * pairs.labels).sum(dim=1)
        else:
            loss = (import_torch().nn.functional.softplus(scores) - scores * pairs.labels).mean(dim=1)
        return weighted_mean(loss, pairs.known)

    def penalty(self, outputs, pairs, progress=1.0):
        return self.alpha * row_mean((outputs.abs() - 1.0).abs() ** self.p, pairs.known)
