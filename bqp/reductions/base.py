"""What every reduction is: from one problem to smaller ones, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bqp.problem import BQP

__all__ = ["Reduced", "Reduction"]


@dataclass(frozen=True)
class Reduced:
    """Smaller problems whose energies add up to the energy of the original.

    Attributes
    ----------
    parts : tuple of BQP
        To be solved one by one; may be empty.
    constant : float
        Energy of what has already been decided: energy(lift(xs)) = constant + sum of the parts' energies.
    lift : callable
        From one assignment for each part to an assignment of the original, of shape (n,), int8.
    restrict : callable
        From an assignment of the original to one for each part that stands for it as well as it can.
    note : str
        What was done, for people.
    rounding : float
        What the coefficients of the parts can be off by, beyond `bqp.rounding.evaluation_rounding`; 0 for integral
        data.
    """

    parts: tuple[BQP, ...]
    constant: float
    lift: Callable[[list[np.ndarray]], np.ndarray]
    restrict: Callable[[np.ndarray], list[np.ndarray]]
    note: str = ""
    rounding: float = 0.0


class Reduction(ABC):
    """A step that keeps at least one optimum. `keeps_all` says whether every assignment survives."""

    name: ClassVar[str]
    keeps_all: ClassVar[bool] = False

    @abstractmethod
    def apply(self, problem: BQP) -> Reduced | None:
        """Reduce a spin problem, or return None when there is nothing to do."""
