"""Losses of one pair of codes, as functions of the target and of the inner product of the codes.

W. Liu, J. Wang, R. Ji, Y.-G. Jiang, S.-F. Chang, "Supervised Hashing with Kernels", CVPR 2012 (`ksh`);
B. Kulis, T. Darrell, "Learning to Hash with Binary Reconstructive Embeddings", NIPS 2009 (`bre`);
M. Norouzi, D. Fleet, "Minimal Loss Hashing for Compact Binary Codes", ICML 2011 (`hinge`, squared here as in TSH);
G. Lin, C. Shen, D. Suter, A. van den Hengel, "A General Two-Step Approach to Learning-Based Hashing", ICCV 2013 (the
table of losses for two-step hashing, `exponential` among them);
P. Zhang, W. Zhang, W.-J. Li, M. Guo, "Supervised Hashing with Latent Factor Models", SIGIR 2014 (`likelihood`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bqp.errors import ParameterError

__all__ = ["REGISTRY", "Bre", "Exponential", "Hinge", "Ksh", "Likelihood", "Loss", "get"]


class Loss(ABC):
    """A loss l(s, G, r) of one pair: target s, inner product G of the codes over r bits.

    The Hamming distance is (r - G) / 2. Losses are stateless; their settings are fields.
    """

    name: ClassVar[str]

    @abstractmethod
    def __call__(self, s: np.ndarray, G: np.ndarray, r: float) -> np.ndarray:
        """The loss, elementwise, float64."""

    @abstractmethod
    def attracts(self, s: np.ndarray) -> np.ndarray:
        """Where the loss never rises as G grows to r, so that equal codes are best; elementwise, bool."""

    def quadratic_scale(self, r: float) -> float | None:
        """The number v with l(s, G, r) = v (r s - G)^2, or None for a loss of another shape."""
        return None


@dataclass(frozen=True)
class Ksh(Loss):
    """(r s - G)^2: the inner product should be r times the target."""

    name: ClassVar[str] = "ksh"

    def __call__(self, s, G, r):
        return np.square(r * np.asarray(s, dtype=np.float64) - G)

    def attracts(self, s):
        return np.asarray(s) >= 1.0

    def quadratic_scale(self, r):
        return 1.0


@dataclass(frozen=True)
class Bre(Loss):
    """((1 - s)/2 - d/r)^2 with d = (r - G)/2: the share of differing bits should be (1 - s)/2."""

    name: ClassVar[str] = "bre"

    def __call__(self, s, G, r):
        return np.square(r * np.asarray(s, dtype=np.float64) - G) / (4.0 * r * r)

    def attracts(self, s):
        return np.asarray(s) >= 1.0

    def quadratic_scale(self, r):
        return 1.0 / (4.0 * r * r)


@dataclass(frozen=True)
class Hinge(Loss):
    """(d/r)^2 for similar pairs (s > 0), max(0, alpha - d/r)^2 for the others, d = (r - G)/2.

    Parameters
    ----------
    alpha : float
        Share of differing bits from which a dissimilar pair costs nothing, 0 < alpha <= 1.
    """

    alpha: float = 0.5
    name: ClassVar[str] = "hinge"

    def __post_init__(self):
        if not 0.0 < self.alpha <= 1.0:
            raise ParameterError(f"alpha must lie in (0, 1], a share of the bits, got {self.alpha!r}.")

    def __call__(self, s, G, r):
        share = (r - np.asarray(G, dtype=np.float64)) / (2.0 * r)
        return np.square(np.where(np.asarray(s) > 0, share, np.maximum(0.0, self.alpha - share)))

    def attracts(self, s):
        return np.asarray(s) > 0.0


@dataclass(frozen=True)
class Exponential(Loss):
    """exp(-s G / r)."""

    name: ClassVar[str] = "exponential"

    def __call__(self, s, G, r):
        return np.exp(-np.asarray(s, dtype=np.float64) * G / r)

    def attracts(self, s):
        return np.asarray(s) >= 0.0


@dataclass(frozen=True)
class Likelihood(Loss):
    """log(1 + exp(T)) - p T with T = scale G and p = (1 + s)/2: the negative log of the chance of the target.

    T is half the inner product as published, whatever r: similar pairs are pushed to ever larger G, dissimilar ones to
    ever smaller, and the pull fades like exp(-|T|). A target s strictly between -1 and 1 asks for the log-odds
    T = log((1 + s)/(1 - s)). With the stagewise target T holds the bits so far.

    Parameters
    ----------
    scale : float
        T over G, > 0. Published: 0.5. A smaller one keeps pulling at many bits: with 0.5 a pair of 32 agreeing bits has
        a gradient of 1e-7.
    """

    scale: float = 0.5
    name: ClassVar[str] = "likelihood"

    def __post_init__(self):
        if not (0.0 < self.scale < np.inf):
            raise ParameterError(f"scale must be a positive number, got {self.scale!r}.")

    def __call__(self, s, G, r):
        T = self.scale * np.asarray(G, dtype=np.float64)
        return np.logaddexp(0.0, T) - 0.5 * (1.0 + np.asarray(s, dtype=np.float64)) * T

    def attracts(self, s):
        return np.asarray(s) >= 1.0


REGISTRY: dict[str, type[Loss]] = {loss.name: loss for loss in (Ksh, Bre, Hinge, Exponential, Likelihood)}


def get(loss: str | Loss) -> Loss:
    """The loss of that name, or the loss itself.

    Raises
    ------
    ParameterError
        Unknown name.

    Examples
    --------
    >>> from bqp import losses
    >>> losses.get("hinge")
    Hinge(alpha=0.5)
    >>> losses.get(losses.Hinge(alpha=0.3)).alpha
    0.3
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in REGISTRY:
        return REGISTRY[loss]()
    raise ParameterError(f"unknown loss {loss!r}; choose one of {', '.join(REGISTRY)}, or pass a losses.Loss object.")
