"""Contrastive loss with real outputs pulled to -1 and +1.

H. Liu, R. Wang, S. Shan, X. Chen, "Deep Supervised Hashing for Fast Image Retrieval", CVPR 2016 (equation 5).
"""

from hashers.deep.losses.base import HashLoss, row_mean, weighted_mean

__all__ = ["DSH"]


class DSH(HashLoss):
    """Contrastive loss with the penalty ``||u| - 1|``.

    Mean over known pairs of ``s d / 2 + (1 - s) max(m - d, 0) / 2``, d = |u_i - u_j|^2 per bit, plus `alpha` times the
    mean of ``||u| - 1|`` over bits and points (the paper sums over bits, and over the two points of each pair).

    Parameters
    ----------
    margin : float
        m per bit; the paper's 2 asks dissimilar codes to differ in half of the bits.
    alpha : float
        Weight of the penalty.
    """

    def __init__(self, margin=1.0, alpha=0.01):
        self.margin = margin
        self.alpha = alpha

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        size = H.square().sum(dim=1)
        distance = (size[:, None] + size[None, :] - 2.0 * (H @ H.T)).clamp_min(0.0) / H.shape[1]
        apart = (self.margin - distance).clamp_min(0.0)
        return weighted_mean(0.5 * (pairs.similar * distance + (1.0 - pairs.similar) * apart), pairs.weight)

    def penalty(self, outputs, pairs, progress=1.0):
        return self.alpha * row_mean((outputs.abs() - 1.0).abs(), pairs.known)
