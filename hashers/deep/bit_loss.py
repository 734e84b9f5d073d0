"""The loss of a net whose outputs are to have the signs of given codes, one bit at a time."""

import numpy as np

from hashers.deep._torch import import_torch

__all__ = ["BIT_LOSSES", "BitLoss"]

BIT_LOSSES = ("logistic", "hinge", "squared")


class BitLoss:
    """Weighted mean over rows i and bits k of l(b_ik, f_k(x_i)).

    "logistic" log(1 + exp(-b f)), "hinge" max(0, 1 - b f), "squared" (b - f)^2, which takes any real targets b.

    Parameters
    ----------
    B : ndarray of shape (n, q)
        Targets of the training rows.
    weight : ndarray of shape (n,), optional
        Their weights; only ratios matter.
    kind : {"logistic", "hinge", "squared"}
    device : torch.device
    """

    def __init__(self, B, weight=None, kind="logistic", device=None):
        torch = import_torch()
        self.kind = kind
        self.targets = torch.from_numpy(np.asarray(B, dtype=np.float32)).to(device)
        self.weight = None
        if weight is not None:
            weight = np.asarray(weight, dtype=np.float64)
            weight = weight / weight.max()
            self.weight = torch.from_numpy((weight / weight[weight > 0].mean()).astype(np.float32)).to(device)

    def __call__(self, outputs, rows):
        functional = import_torch().nn.functional
        targets = self.targets[rows]
        if self.kind == "squared":
            values = (targets - outputs) ** 2
        elif self.kind == "hinge":
            values = functional.relu(1 - targets * outputs)
        else:
            values = functional.softplus(-targets * outputs)
        if self.weight is not None:
            values = values * self.weight[rows, None]
        return values.mean()
