"""What a loss of a batch is: real outputs, what is known about the pairs of the batch, a number to make small.

A loss is a plain object with settings and no state. It works on any device and type of tensor, and torch is needed only
where a tensor comes in. Papers sum over pairs; here every term is a mean, so that settings hold for any batch size.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from hashers.deep.asymmetric import pair_block

__all__ = ["HashLoss", "PairSource", "Pairs", "quantization_error", "row_mean", "signs", "weighted_mean"]

QUANTIZATIONS = (None, "squared", "absolute")


@dataclass(frozen=True)
class Pairs:
    """What is known about the b rows of a batch.

    Attributes
    ----------
    similar : tensor of shape (b, b)
        1 for similar pairs, 0 for dissimilar ones, between for degrees.
    weight : tensor of shape (b, b)
        At least 0; 0 for unknown pairs and on the diagonal.
    known : tensor of shape (b,)
        1 for rows that are part of the supervision, else 0.
    labels : tensor of shape (b, L) or None
        0/1 label vectors; None where there are no labels.
    single : bool
        Whether each label vector has one 1.
    """

    similar: Any
    weight: Any
    known: Any
    labels: Any = None
    single: bool = True

    @property
    def degree(self):
        """Share of common labels, ``|a & b| / |a | b|``, for pairs of label sets; 1 without sets. Shape (b, b)."""
        if self.labels is None or self.single:
            return self.similar.new_ones(self.similar.shape)
        common, size = self.labels @ self.labels.T, self.labels.sum(dim=1)
        return common / (size[:, None] + size[None, :] - common).clamp_min(1.0)


class PairSource:
    """The pairs of a batch, by row numbers, from a similarity.

    Parameters
    ----------
    S : bqp.supervision.Similarity
        Targets of -1 to 1 become degrees of 0 to 1, others are clipped.

    Attributes
    ----------
    n_labels : int
        Length of label vectors; 0 where there are no labels.
    """

    def __init__(self, S):
        self.S = S
        self.known = np.asarray(S.known)
        self.grouped = S.structure == "grouped"
        classes: Any = getattr(S, "classes", None)
        self.single = classes is None or classes.ndim == 1
        self.sets: Any = None if self.single else np.asarray(classes, dtype=np.float32)
        self.n_labels = 0 if classes is None else len(classes) if self.single else classes.shape[1]

    def batch(self, rows, like):
        """The pairs of these rows.

        Parameters
        ----------
        rows : ndarray of shape (b,), int
        like : tensor
            Gives type and device.

        Returns
        -------
        pairs : Pairs
        """
        S, rows = self.S, np.asarray(rows)
        known = self.known[rows]
        labels = None
        if self.n_labels:
            groups = S.groups[rows]
            labels = np.eye(self.n_labels, dtype=np.float32)[groups] if self.single else self.sets[groups]
            labels = like.new_tensor(labels * known[:, None])
        target, weight = pair_block(S, rows, rows) if self.grouped else S.restrict(rows).to_dense()
        weight = weight / max(float(weight.max()), np.finfo(np.float64).tiny)
        np.fill_diagonal(weight, 0.0)
        similar = np.clip((np.asarray(target, dtype=np.float64) + 1.0) / 2.0, 0.0, 1.0)
        return Pairs(
            like.new_tensor(similar),
            like.new_tensor(weight),
            like.new_tensor(known.astype(np.float32)),
            labels,
            self.single,
        )


class HashLoss(BaseEstimator, ABC):
    """Base of losses; children give `pair_loss`, and `codes` and `penalty` where theirs are different.

    Calling a loss, ``loss(outputs, pairs, progress, head)``, gives a tensor with one number: `pair_loss` of the relaxed
    codes plus `penalty`. `progress` goes from 0 at the first step to 1 at the last. A term that no pair of the batch
    belongs to is 0; rows without supervision count nowhere.
    """

    needs_labels = False
    """Whether the loss looks at labels, so that pairs and matrices are refused."""

    def __call__(self, outputs, pairs, progress=1.0, head=None):
        H = self.codes(outputs, progress)
        return self.pair_loss(H, pairs, progress, head) + self.penalty(outputs, pairs, progress)

    def codes(self, outputs, progress=1.0):
        """Relaxed codes of outputs of shape (b, q): here the outputs themselves."""
        return outputs

    def penalty(self, outputs, pairs, progress=1.0) -> Any:
        """What the loss adds to pull outputs to -1 and +1: here nothing."""
        return 0.0

    @abstractmethod
    def pair_loss(self, H, pairs, progress=1.0, head: Any = None) -> Any:
        """Loss of relaxed codes H of shape (b, q)."""

    def make_head(self, n_bits, n_labels):
        """A module with parameters of its own that `pair_loss` asks for; None for most losses."""
        return None


def signs(U):
    """+1 where U is at least 0, else -1; no gradient."""
    return 2.0 * (U.detach() >= 0).to(U.dtype) - 1.0


def weighted_mean(values, weight):
    """Mean of the values by weight; 0 where there is no weight."""
    return (values * weight).sum() / weight.sum().clamp_min(1e-30)


def row_mean(values, known):
    """Mean over the entries of the known rows of values (b, q); 0 without any."""
    return weighted_mean(values, known[:, None].expand(values.shape))


def quantization_error(H, known, kind):
    """How far codes are from -1 and +1: mean of (|h| - 1)^2 or of ||h| - 1| over the known rows.

    Parameters
    ----------
    H : tensor of shape (b, q)
    known : tensor of shape (b,)
    kind : {None, "squared", "absolute"}

    Returns
    -------
    error : tensor or 0.0
    """
    if kind is None:
        return 0.0
    error = H.abs() - 1.0
    return row_mean(error.square() if kind == "squared" else error.abs(), known)
