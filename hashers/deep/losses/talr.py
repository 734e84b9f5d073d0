"""Average precision of relaxed codes, ties averaged over their orders.

K. He, F. Cakir, S. A. Bargal, S. Sclaroff, "Hashing as Tie-Aware Learning to Rank", CVPR 2018 (equations 8 to 14; the
simplified form of the supplement and of the authors' code).
"""

from hashers.deep._torch import import_torch
from hashers.deep.losses._histograms import relaxed_distance, soft_histogram
from hashers.deep.losses.base import HashLoss, weighted_mean

__all__ = ["TALR"]

FORMS = ("simplified", "exact")


class TALR(HashLoss):
    """1 minus the tie-aware average precision, each row of the batch as a query.

    n_d and n+_d, the rows and the similar rows at distance d, come from soft histograms of ``(q - h_i.h_j) / 2``,
    h = tanh(sharpness u); N_d and N+_d are their running sums. Mean over the queries with a similar row.

    Parameters
    ----------
    form : {"simplified", "exact"}
        "simplified": ``AP = sum_d n+_d (N+_{d-1} + N+_d + 1) / (N_{d-1} + N_d + 1) / N+``. "exact": the expected AP
        over random orders inside ties, whose sums over ranks are differences of the digamma function, so that it holds
        for fractional counts as well; for codes of -1 and +1 it is `hashers.metrics.average_precision`.
    sharpness : float
    n_bins : int, optional
        Bins of the histogram; default n_bits.
    """

    def __init__(self, form="simplified", sharpness=1.0, n_bins=None):
        self.form = form
        self.sharpness = sharpness
        self.n_bins = n_bins

    def codes(self, outputs, progress=1.0):
        return (self.sharpness * outputs).tanh()

    def pair_loss(self, H, pairs, progress=1.0, head=None):
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}: {self.form!r}.")
        q = H.shape[1]
        distance, n_bins = relaxed_distance(H), self.n_bins or q
        near = soft_histogram(distance, pairs.weight * pairs.similar, q, n_bins)
        every = soft_histogram(distance, pairs.weight, q, n_bins)
        above, above_near = every.cumsum(dim=1) - every, near.cumsum(dim=1) - near
        if self.form == "simplified":
            precision = (2.0 * above_near + near + 1.0) / (2.0 * above + every + 1.0)
        else:
            precision = _expected_precision(near, every, above, above_near)
        total = near.sum(dim=1)
        average = (near * precision).sum(dim=1) / total.clamp_min(1e-30)
        return weighted_mean(1.0 - average, (total > 0).to(H.dtype))


def _expected_precision(near, every, above, above_near):
    """Mean over ranks t of a tie of the precision at t, given that a similar row stands there.

    That is (N+_{d-1} + 1 + (t - N_{d-1} - 1) s) / t, s = (n+_d - 1) / (n_d - 1): of the other rows of the tie the
    share s is similar. The sum of 1 / t over the tie is psi(N_d + 1) - psi(N_{d-1} + 1).
    """
    digamma = import_torch().special.digamma
    share = ((near - 1.0).clamp_min(0.0) / (every - 1.0).clamp_min(1e-6)).clamp_max(1.0)
    size = every.clamp_min(1e-6)
    harmonic = (digamma(above + size + 1.0) - digamma(above + 1.0)) / size
    return share + (above_near + 1.0 - share * (above + 1.0)) * harmonic
