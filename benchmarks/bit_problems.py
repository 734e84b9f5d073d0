"""The binary quadratic programs of real hashing runs, as files for any solver.

    python -m benchmarks.bit_problems                      the small ones, to benchmarks/published/bit_problems
    python -m benchmarks.bit_problems --all --folder DIR   all, larger ones included, where their data are there

Each is one bit of one run: from the first bits, as the method learned them, to the program of the next. Written as
``NAME.npz.xz`` (`bqp.read`: form, domain and offset kept) and ``NAME.qubo.xz`` (D-Wave's format, minimise over {0, 1}),
with ``index.csv``. Everything is drawn with fixed seeds, and all but the hinge problems have integers: the same call
writes the same files. `load` reads them back; the solver benchmark takes them beside the public instances.
"""

from __future__ import annotations

import argparse
import csv
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import bqp
from bqp import codes, losses, supervision
from bqp.codes._columns import Columns, SampledBits, soft_ratio

__all__ = ["PROBLEMS", "export", "folder", "load", "make", "names"]

FOLDER = Path(__file__).resolve().parent / "published" / "bit_problems"
COLUMNS = ("name", "n", "nonzeros", "density_percent", "linear", "best", "best_qubo", "proven", "solver", "origin")


@dataclass(frozen=True)
class BitProblem:
    """How one problem is made."""

    dataset: str
    n: int
    origin: str
    make: Callable[[np.ndarray, np.ndarray, np.random.Generator], bqp.BQP]
    small: bool = True


def tsh(q: int, k: int, loss: str = "ksh", partners: int | None = None):
    """Bit k of two-step hashing given the k before it, all pairs or some sampled partners a point."""

    def build(X, y, rng):
        S = _similarity(y)
        S = S if partners is None else supervision.sample_pairs(S, partners, partners, rng)
        mode = "published" if loss == "hinge" else "default"
        B = codes.bitwise(S, q, loss=loss, mode=mode, rng=rng, certify=False).B if k else np.empty((S.n, 0), np.int8)
        target = "stagewise" if loss == "hinge" else "residual"
        return losses.bit_problem(S, B[:, :k], loss=loss, target=target, n_bits=q)

    return build


def affhash(q: int, k: int):
    """Bit k of affinity-based hashing given all others, tied to its function: a linear term of -2 mu h_k(x_i)."""

    def build(X, y, rng):
        from hashers import AffHash

        seed = int(rng.integers(2**31 - 1))
        hasher = AffHash(n_bits=q, max_outer=5, random_state=seed).fit(X, y)
        problem = losses.bit_problem(_similarity(y), hasher.codes_, bit=k, target="cyclic")
        h = hasher.transform(X)[:, k].astype(np.float64)
        mu = np.ceil(0.5 * np.median(np.abs(problem.flip_deltas(hasher.codes_[:, k]))) / 2.0)
        return bqp.BQP(problem.Q, -2.0 * mu * h, offset=problem.offset)

    return build


def cosdish(q: int, m: int, k: int):
    """Bit k of m sampled points in COSDISH, given the bits before it and the codes of all other points."""

    def build(X, y, rng):
        S = _similarity(y)
        B = codes.column_sampling(S, q, n_rounds=2, mode="published", rng=rng, certify=False).B
        omega = np.sort(rng.choice(S.n, m, replace=False))
        others = np.setdiff1d(np.arange(S.n), omega)
        sampled = SampledBits(Columns.of(S, omega, soft_ratio(S, omega)), omega, others, B)
        Q, p = sampled.program(B[omega], np.arange(q) < k, k)
        return bqp.BQP(Q, p)

    return build


def triplet(k: int, per_anchor: int):
    """Bit k of triplets given the bits before it."""

    def build(X, y, rng):
        T = supervision.sample_triplets(_similarity(y), per_anchor, rng=rng)
        B = codes.triplets(T, k, mode="published", rng=rng).B if k else np.empty((T.n, 0), np.int8)
        return losses.triplet.bit_problem(T, B)

    return build


def label_sets(q: int, k: int):
    """Bit k of all others over the distinct label sets, each weighted by its points."""

    def build(X, Y, rng):
        S = _similarity(Y).collapse("ksh").similarity
        B = codes.learn(S, q, n_kicks=0, rng=rng, certify=False).B
        return losses.bit_problem(S, B, bit=k, target="cyclic")

    return build


def _similarity(y):
    return supervision.from_labels(y) if y.ndim == 1 else supervision.from_label_sets(y)


PROBLEMS = {
    "digits_tsh_200": BitProblem("digits", 200, "TSH, squared loss, bit 5 of 16, all pairs", tsh(16, 4)),
    "digits_tsh_hinge_300": BitProblem("digits", 300, "TSH, hinge, bit 3, 10 + 10 partners", tsh(16, 2, "hinge", 10)),
    "digits_affhash_150": BitProblem("digits", 150, "AffHash, bit 3 of 16 given all others, tied", affhash(16, 2)),
    "digits_cosdish_64": BitProblem("digits", 1000, "COSDISH, bit 7 of 16, 64 sampled points", cosdish(16, 64, 6)),
    "digits_triplets_150": BitProblem("digits", 150, "triplets, 10 an anchor, bit 5", triplet(4, 10)),
    "cifar10_cosdish_100": BitProblem("cifar10-deep", 2000, "COSDISH, bit 17 of 32, 100 points", cosdish(32, 100, 16)),
    "cifar10_affhash_200": BitProblem("cifar10-deep", 200, "AffHash, bit 9 of 16 given all others", affhash(16, 8)),
    "cifar10_triplets_300": BitProblem("cifar10-deep", 300, "triplets, 5 an anchor, bit 9", triplet(8, 5)),
    "corel5k_sets_150": BitProblem("corel5k", 150, "label sets, bit 3 of 16 given all others", label_sets(16, 2)),
    "cifar10_tsh_hinge_2000": BitProblem(
        "cifar10-deep", 2000, "TSH, hinge, bit 3, 100 + 100 partners", tsh(16, 2, "hinge", 100), small=False
    ),
    "cifar10_triplets_2000": BitProblem("cifar10-deep", 2000, "triplets, 50 an anchor, bit 9", triplet(8, 50), False),
    "cifar10_affhash_2000": BitProblem(
        "cifar10-deep", 2000, "AffHash, bit 9 of 32 given others", affhash(32, 8), False
    ),
    "corel5k_sets_4000": BitProblem("corel5k", 4000, "label sets, bit 9 of 32 given others", label_sets(32, 8), False),
}


def make(name: str) -> bqp.BQP:
    """The problem of that name, from its data set.

    Raises
    ------
    KeyError
        An unknown name.
    FileNotFoundError
        No file of the data set.
    """
    from hashers import datasets

    if name not in PROBLEMS:
        raise KeyError(f"no bit problem {name!r}; there are {', '.join(PROBLEMS)}")
    entry = PROBLEMS[name]
    data = datasets.load(entry.dataset)
    rng = np.random.default_rng([sum(name.encode()), entry.n])
    rows = np.sort(rng.permutation(data.train)[: entry.n])
    problem = entry.make(data.X[rows].astype(np.float64), data.y[rows], rng)
    return _distinct(problem)


def _distinct(problem: bqp.BQP) -> bqp.BQP:
    """The same problem with its matrix written out, the diagonal in the offset: what a reader expects in a file."""
    import scipy.sparse as sp

    if problem.domain != "spin":
        return problem
    A = sp.csr_array(problem.Q.to_sparse())
    diagonal = A.diagonal()
    A = sp.csr_array(A - sp.diags_array(diagonal))
    A.eliminate_zeros()
    form = A if A.nnz < 0.25 * problem.n**2 else A.toarray()
    return bqp.BQP(form, problem.c, offset=problem.offset + float(diagonal.sum()))


def export(chosen, place: Path, seconds: float = 5.0, say=print) -> list[dict]:
    """Write problems and their index; best known values come from `bqp.solve`, by annealing and by tabu search.

    Parameters
    ----------
    chosen : sequence of str
    place : Path
        Folder; made if it is not there.
    seconds : float
        Search for the best value, each of both; 30 times that for the proof.

    Returns
    -------
    rows : list of dict
        The lines of ``index.csv``.
    """
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in chosen:
        try:
            problem = make(name)
        except FileNotFoundError:
            say(f"{name}: no data, left out")
            continue
        bqp.write(problem, place / f"{name}.npz.xz")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bqp.BQPWarning)  # the offset is in the index
            bqp.write(problem, place / f"{name}.qubo.xz")
        found = [bqp.solve(problem, time_limit=seconds, rng=seed, certify=True) for seed in range(2)]
        best = min(found, key=lambda solution: solution.energy)
        if best.status is not bqp.Status.OPTIMAL and problem.n <= 200:
            proof = bqp.solve(problem, "exact", x0=best.x, time_limit=30 * seconds, rng=0)
            best = proof if proof.energy <= best.energy else best
        nonzeros = _nonzeros(problem)
        qubo = bqp.read(place / f"{name}.qubo.xz")
        x = ((1 + best.x) // 2).astype(np.int8) if problem.domain == "spin" else best.x
        n = problem.n
        row = {
            "name": name, "n": n, "nonzeros": nonzeros,
            "density_percent": round(200.0 * nonzeros / max(1, n * (n - 1)), 2),
            "linear": int(np.any(problem.c)), "best": repr(best.energy), "best_qubo": repr(float(qubo.energy(x))),
            "proven": int(best.status is bqp.Status.OPTIMAL), "solver": best.solver, "origin": PROBLEMS[name].origin,
        }  # fmt: skip
        rows.append(row)
        say(", ".join(f"{key} {value}" for key, value in row.items() if key != "origin"))
    with open(place / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _nonzeros(problem: bqp.BQP) -> int:
    """Pairs i < j with a coefficient."""
    A = problem.Q.to_sparse().tocoo()
    return int(np.count_nonzero(A.data[A.row < A.col]))


def folder() -> Path:
    """Where the exported problems are: `BQP_BIT_PROBLEMS`, or the committed small ones."""
    return Path(os.environ.get("BQP_BIT_PROBLEMS", FOLDER))


def names() -> list[str]:
    """The problems of the index, by size."""
    with open(folder() / "index.csv", newline="") as lines:
        return [row["name"] for row in sorted(csv.DictReader(lines), key=lambda row: int(row["n"]))]


def load(name: str) -> tuple[bqp.BQP, float]:
    """A problem and its best known energy.

    Examples
    --------
    >>> problem, best = load("digits_cosdish_64")
    >>> problem.n
    64
    """
    with open(folder() / "index.csv", newline="") as lines:
        row = next((row for row in csv.DictReader(lines) if row["name"] == name), None)
    if row is None:
        raise KeyError(f"no bit problem {name!r} in {folder()}; there are {', '.join(names())}")
    return bqp.read(folder() / f"{name}.npz.xz"), float(row["best"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--names", nargs="+", choices=list(PROBLEMS))
    parser.add_argument("--all", action="store_true", help="larger ones too")
    parser.add_argument("--seconds", type=float, default=5.0, help="search for the best value of each")
    arguments = parser.parse_args()
    chosen = arguments.names or [name for name, entry in PROBLEMS.items() if entry.small or arguments.all]
    export(chosen, arguments.folder, arguments.seconds)


if __name__ == "__main__":
    main()
