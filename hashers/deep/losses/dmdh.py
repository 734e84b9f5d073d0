"""The loss of codes, expanded in a series around the real outputs.

Z. Chen, X. Yuan, J. Lu, Q. Tian, J. Zhou, "Deep Hashing via Discrepancy Minimization", CVPR 2018 (DMDH).
"""

from hashers.deep.losses.base import HashLoss, signs, weighted_mean

__all__ = ["DMDH"]


class DMDH(HashLoss):
    """Squared similarity loss of codes, as a series around relaxed codes.

    ``L(B)``, the mean over known pairs of ``(b_i.b_j / q - s_ij)^2`` with s in [-1, 1], is replaced by ``L(H) + rho
    (<grad L(H), B - H> + sum_i M_i |b_i - h_i|^2 / 2)``, H = tanh(u). B decouples: its best value is the sign of
    ``h_i - grad_i L(H) / M_i``, and the net learns H with B held. rho, the weight of the discrepancy between the loss
    of B and that of H, grows in proportion to the steps taken.

    Parameters
    ----------
    discrepancy : float
        Last rho, from 0 to 1. At 1 the gradient of L(H) cancels, and only B leads on; small ones learn better.

    Notes
    -----
    M_i is 16 / q times the share of the weight of pairs that row i has. That bounds the curvature of L over all of
    [-1, 1], so that the series with rho = 1 is at least L(B) for every B.

    Of the paper, whose abstract was at hand, this keeps the series expansion over hash functions, which takes the
    binary constraint out of the similarity term, and the alternation with a gradual minimization of the discrepancy.
    The bound M, and codes B that belong to a batch instead of all training points, are ours.
    """

    def __init__(self, discrepancy=0.1):
        self.discrepancy = discrepancy

    def codes(self, outputs, progress=1.0):
        return outputs.tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        q = H.shape[1]
        error = H @ H.T / q - (2.0 * pairs.similar - 1.0)
        weight = pairs.weight / pairs.weight.sum().clamp_min(1e-30)
        gradient = (4.0 / q) * ((weight * error) @ H)
        M = (16.0 / q) * weight.sum(dim=1, keepdim=True)
        B = signs(M * H - gradient)
        series = (gradient * (B - H)).sum() + 0.5 * (M * (B - H).square()).sum()
        return weighted_mean(error.square(), pairs.weight) + self.discrepancy * progress * series
