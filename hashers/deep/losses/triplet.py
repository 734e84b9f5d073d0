"""Hinge loss of triplets: an anchor lies nearer to what is similar than to what is not.

H. Lai, Y. Pan, Y. Liu, S. Yan, "Simultaneous Feature Learning and Hash Coding with Deep Neural Networks", CVPR 2015
(NINH: equation 3, on all triplets of a batch; its divide-and-encode layer is ``head="divide"`` of `NetFunction`).
"""

from hashers.deep.losses.base import HashLoss

__all__ = ["TripletLoss"]


class TripletLoss(HashLoss):
    """Margin between the distances from an anchor to a dissimilar and to a similar point.

    Mean over the triplets of the batch of ``max(0, m + d(a, p) - d(a, n))``, d = |h - h'|^2 / 4 with h = tanh(u): the
    Hamming distance of codes, divided by the code length.

    Parameters
    ----------
    margin : float
        m per bit. The paper's margin is one bit, however long the code is; large ones, near the mean distance 1/2 of
        random codes, saturate outputs early.

    Notes
    -----
    Memory b^3 numbers for a batch of b.
    """

    def __init__(self, margin=0.1):
        self.margin = margin

    def codes(self, outputs, progress=1.0):
        return outputs.tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        size = H.square().sum(dim=1)
        distance = (size[:, None] + size[None, :] - 2.0 * (H @ H.T)) / (4.0 * H.shape[1])
        near, far = pairs.weight * pairs.similar, pairs.weight * (1.0 - pairs.similar)
        excess = (self.margin + distance[:, :, None] - distance[:, None, :]).clamp_min(0.0)
        total = (near.sum(dim=1) * far.sum(dim=1)).sum().clamp_min(1e-30)
        return (excess * near[:, :, None] * far[:, None, :]).sum() / total
