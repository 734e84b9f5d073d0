"""Histograms of relaxed Hamming distances, with a gradient."""

__all__ = ["relaxed_distance", "soft_histogram"]


def relaxed_distance(H):
    """``(q - h_i.h_j) / 2`` for all pairs of rows of H (b, q) in [-1, 1]: the Hamming distance of codes."""
    return 0.5 * (H.shape[1] - H @ H.T)


def soft_histogram(distance, weight, n_bits, n_bins):
    """Weight of the distances from each row, shared linearly between the two nearest bins.

    Parameters
    ----------
    distance, weight : tensors of shape (b, b)
    n_bits : int
        Largest distance.
    n_bins : int
        Bins beside the first: their centres are at 0, n_bits / n_bins, ..., n_bits.

    Returns
    -------
    counts : tensor of shape (b, n_bins + 1)

    Notes
    -----
    Memory b^2 n_bins numbers.
    """
    width = n_bits / n_bins
    place = (distance / width).clamp(0.0, float(n_bins))
    centres = place.new_tensor(range(n_bins + 1))
    share = (1.0 - (place[:, :, None] - centres).abs()).clamp_min(0.0)
    return (share * weight[:, :, None]).sum(dim=1)
