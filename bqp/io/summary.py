"""What there is to say about a problem before it is solved."""

import numpy as np

from bqp.io._matrix import upper_entries
from bqp.problem import BQP

__all__ = ["describe"]


def describe(problem: BQP) -> dict:
    """Sizes, density, degrees, integrality of a problem, and what the reductions would make of it.

    Parameters
    ----------
    problem : BQP

    Returns
    -------
    facts : dict
        n, domain, sense, form, memory (bytes of Q); entries (pairs of variables with a coefficient), linear (variables
        with one), density (of the pairs, 0 to 1); degree_min, degree_mean, degree_max; integral (whether every
        objective value is a whole number); offset (the objective over {0, 1} at zero, in the user's sense); reductions
        (a list of lines), reduced_sizes (variables of the parts that are left, largest first).

    Notes
    -----
    One pass over the entries in blocks of rows, and the reductions themselves.

    Examples
    --------
    >>> import numpy as np, bqp
    >>> facts = describe(bqp.BQP.from_maxcut(np.array([[0, 1, 0], [1, 0, 2], [0, 2, 0]])))
    >>> facts["entries"], facts["linear"], facts["degree_max"], facts["integral"]
    (2, 0, 2, True)
    """
    bits = problem.to_binary()
    degrees = np.zeros(problem.n, dtype=np.int64)
    linear = problem.c + (problem.Q.diagonal() if problem.domain == "binary" else 0.0)
    integral = bits.offset.is_integer()
    for rows, cols, values in upper_entries(bits) if problem.n else ():
        off = rows != cols
        degrees += np.bincount(rows[off], minlength=problem.n) + np.bincount(cols[off], minlength=problem.n)
        coefficients = np.where(off, 2.0 * values, values)
        integral = integral and bool(np.all(coefficients == np.floor(coefficients)))
    entries = int(degrees.sum()) // 2
    facts = {
        "n": problem.n,
        "domain": problem.domain,
        "sense": problem.sense,
        "form": problem.Q.name,
        "memory": problem.Q.nbytes,
        "entries": entries,
        "linear": int(np.count_nonzero(linear)),
        "density": entries / max(1, problem.n * (problem.n - 1) // 2),
        "degree_min": int(degrees.min()) if problem.n else 0,
        "degree_mean": float(degrees.mean()) if problem.n else 0.0,
        "degree_max": int(degrees.max()) if problem.n else 0,
        "integral": integral,
        "offset": bits.offset if problem.sense == "min" else 0.0 - bits.offset,
    }
    return {**facts, **_reduced(problem)}


def _reduced(problem: BQP) -> dict:
    from bqp.reductions import reduce_problem, resolve_steps

    reduced, notes = reduce_problem(problem, resolve_steps("auto"))
    return {"reductions": notes, "reduced_sizes": sorted((part.n for part in reduced.parts), reverse=True)}
