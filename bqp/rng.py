"""Randomness: one door in, independent streams out."""

from __future__ import annotations

import numpy as np

from bqp.errors import ParameterError

__all__ = ["RandomLike", "as_seed_sequence", "streams"]

RandomLike = None | int | np.integer | np.random.SeedSequence | np.random.Generator


def as_seed_sequence(rng: RandomLike) -> np.random.SeedSequence:
    """Turn None, an int, a SeedSequence or a Generator into a SeedSequence; a Generator is advanced by one draw.

    Raises
    ------
    ParameterError
        For anything else, and for negative ints.
    """
    if rng is None:
        return np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):  # a fresh copy: spawning from it leaves the caller's untouched
        return np.random.SeedSequence(rng.entropy, spawn_key=rng.spawn_key, pool_size=rng.pool_size)
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence(rng.integers(0, 2**32, size=4, dtype=np.uint32).tolist())
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ParameterError(f"rng must be a non-negative seed, got {rng}.")
        return np.random.SeedSequence(int(rng))
    raise ParameterError(
        f"rng must be None, an int, a numpy SeedSequence or Generator, got {type(rng).__name__}. "
        "Legacy RandomState objects are not accepted: pass an int drawn from them."
    )


def streams(seeds: np.random.SeedSequence, n: int) -> list[np.random.Generator]:
    """The next `n` children of `seeds`, each as a Generator; stream k is the same whatever else is drawn."""
    return [np.random.Generator(np.random.PCG64(child)) for child in seeds.spawn(n)]
