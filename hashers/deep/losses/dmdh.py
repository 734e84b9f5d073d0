"""The loss of codes, expanded in a series around the real outputs.

Z. Chen, X. Yuan, J. Lu, Q. Tian, J. Zhou, "Deep Hashing via Discrepancy Minimization", CVPR 2018 (DMDH).
"""

from hashers.deep.losses.base import HashLoss, row_mean, signs, weighted_mean

__all__ = ["DMDH"]


class DMDH(HashLoss):
    """Squared similarity loss of codes, as a series around relaxed codes.

    ``L(B)``, the mean over known pairs of ``(b_i.b_j / q - s_ij)^2`` with s in [-1, 1], is replaced by
    ``L(H) + <grad L(H), B - H> + (M / 2) |B - H|^2``, H = tanh(u). B decouples: its best value is the sign of
    ``H - grad L(H) / M``. H is what the network learns with B held. M, which weighs the discrepancy between H and B,
    rises from 0 to its last value during training.

    Parameters
    ----------
    mu : float
        Last weight of the discrepancy, as the factor of the mean of ``(b - h)^2``: M is 2 mu / (b q) for a batch of b.

    Notes
    -----
    What the abstract says (series expansion over hash functions, which takes the binary constraint out of the
    similarity term; alternation with gradual minimization of the discrepancy) is kept. The curvature of L is bounded by
    one number, and B belongs to the batch instead of all training points; both are ours.
    """

    def __init__(self, mu=1.0):
        self.mu = mu

    def codes(self, outputs, progress=1.0):
        return outputs.tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        error = H @ H.T / H.shape[1] - (2.0 * pairs.similar - 1.0)
        weight = pairs.weight / pairs.weight.sum().clamp_min(1e-30)
        gradient = (4.0 / H.shape[1]) * ((weight * error) @ H)
        mu = self.mu * progress
        n_entries = (pairs.known.sum() * H.shape[1]).clamp_min(1.0)
        B = signs(2.0 * mu * H / n_entries - gradient)
        discrepancy = row_mean((B - H).square(), pairs.known)
        return weighted_mean(error.square(), pairs.weight) + (gradient * (B - H)).sum() + mu * discrepancy
