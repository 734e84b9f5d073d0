"""Every code learner with a published mode, beside its default mode: the same S, the same q, the same seeds.

    python -m benchmarks.codes_published [--datasets scene ...] [--methods "bitwise ksh" ...] [--bits 16 32 64]

A row runs both modes with seeds 0, 1, ... and compares the method's own objective over all pairs (triplets) of S.
"published" is the mean of theirs, the better of the last and the best codes of each run counting; "their best", "our
mean" and "our worst" are over that mean. A row is `ok` where our mean is at most theirs, and `ok +` where even our
worst seed is at most their best one. "ksh" is the yardstick sum w (q s - b.b)^2 of our codes over theirs (means).
Seconds are of the CPU, one thread, kernels compiled. A row whose seeds would take longer than --budget makes fewer of
them, at least one; what takes minutes a run is left out, and said. --json keeps the raw numbers of every run and adds
to those of earlier calls; --show prints them without running anything.

Data (hashers.datasets; what is not there is left out, but for the first two, which then are Gaussian blobs):

    ten      500 Fashion-MNIST rows of each class, n = 5,000
    twelve   12 newsgroups of 900 down to 38 posts, n = 3,324
    scene, tmc2007, corel5k   label sets of the training rows: n = 1,500, 5,000 and 4,000

"pairs" are 25 similar and 25 dissimilar partners a point (`supervision.sample_pairs`), "triplets" 20 a point;
"+ ridge": functions are a ridge (1e-2) on 300 Gaussian kernels at random training rows and a constant. The rows of
methods that alternate with functions for long are made on 1,000 random points. `alternation` is compared at h(X), which
is where a rising mu leads, and at the last mu of our run: loss of Z and penalty. The rows of `learn` compare the ksh
yardstick of `codes.learn` with that of the published method that is best by it, among the rows on all points.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg as la

from bqp import codes, supervision
from hashers import datasets

RESULTS = Path(__file__).parent / "results" / "codes_published.json"
DATASETS = ("ten", "twelve", "scene", "tmc2007", "corel5k")
N_PARTNERS, N_TRIPLETS, N_ANCHORS, RIDGE = 25, 20, 300, 1e-2
N_SMALL = 1000  # points where functions are fitted many times
ROUNDING = 1e-9


class RidgeRefit:
    """Ridge regression on kernel values that are made once; the factor of the unweighted one is kept."""

    def __init__(self, X: np.ndarray):
        X = X.astype(np.float64)
        anchors = X[np.random.default_rng(0).choice(len(X), min(N_ANCHORS, len(X)), replace=False)]
        squared = (X * X).sum(axis=1)[:, None] - 2.0 * X @ anchors.T + (anchors * anchors).sum(axis=1)
        squared = np.maximum(squared, 0.0)
        self.phi = np.hstack([np.exp(-squared / squared.mean()), np.ones((len(X), 1))])
        self.factor = self.factored(self.phi)

    def factored(self, weighted: np.ndarray):
        gram = self.phi.T @ weighted
        gram[np.diag_indices(len(gram))] += RIDGE
        return la.cho_factor(gram)

    def __call__(self, B, bits, sample_weight=None):
        columns = B[:, bits].astype(np.float64)
        if sample_weight is None:
            return self.phi @ la.cho_solve(self.factor, self.phi.T @ columns)
        weighted = sample_weight[:, None] * self.phi
        return self.phi @ la.cho_solve(self.factored(weighted), weighted.T @ columns)


@dataclass
class Problem:
    """Labels or label sets of some points, and their features."""

    name: str
    X: np.ndarray
    y: np.ndarray

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def is_multilabel(self) -> bool:
        return self.y.ndim == 2

    @cached_property
    def S(self) -> supervision.Similarity:
        return (supervision.from_label_sets if self.is_multilabel else supervision.from_labels)(self.y)

    @cached_property
    def pairs(self) -> supervision.Similarity:
        return supervision.sample_pairs(self.S, N_PARTNERS, N_PARTNERS, rng=0)

    @cached_property
    def triplets(self) -> supervision.Triplets:
        return supervision.sample_triplets(self.S, N_TRIPLETS, rng=0)

    @cached_property
    def ridge(self) -> RidgeRefit:
        return RidgeRefit(self.X)

    @cached_property
    def distinct(self) -> supervision.Similarity:
        """Every label set once."""
        return supervision.from_label_sets(np.unique(self.y, axis=0))

    @cached_property
    def small(self) -> Problem:
        """Some of the points."""
        chosen = np.random.default_rng(0).permutation(self.n)[:N_SMALL]
        return Problem(self.name, self.X[chosen], self.y[chosen])


def problem(name: str) -> Problem | None:
    """One of `DATASETS`, or None where it is not there."""
    try:
        if name in ("ten", "twelve"):
            X, y = datasets.load("fashion-mnist" if name == "ten" else "newsgroups").part("database")
            sizes = [500] * 10 if name == "ten" else [int(900 * 0.75**c) for c in range(12)]
            rows = np.concatenate([np.flatnonzero(y == c)[:size] for c, size in enumerate(sizes)])
            return Problem(
                name, X[rows], np.repeat(np.arange(len(sizes)), [np.sum(y[rows] == c) for c in range(len(sizes))])
            )
        X, y = datasets.load(name).part("train")
        return Problem(name, X, np.asarray(y))
    except FileNotFoundError as error:
        if name not in ("ten", "twelve"):
            print(f"{name}: left out, {str(error).splitlines()[0]}")
            return None
        print(f"{name}: Gaussian blobs instead of {str(error).splitlines()[0]}")
        sizes = [500] * 10 if name == "ten" else [int(900 * 0.75**c) for c in range(12)]
        y = np.repeat(np.arange(len(sizes)), sizes)
        rng = np.random.default_rng(0)
        return Problem(name, rng.normal(size=(len(sizes), 32))[y] + rng.normal(size=(len(y), 32)), y)


# ---- the methods ---------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What one run gave: the objective compared, and the ksh yardstick (nan where it is not measured)."""

    objective: float
    ksh: float
    extra: dict = field(default_factory=dict)


@dataclass
class Method:
    """`run(mode, seed, q)` on n points; `left_out(q)` says why a row is not made, or nothing."""

    name: str
    n: int
    run: Callable[[str, int, int], Outcome]
    left_out: Callable[[int], str] = lambda q: ""


def outcome(result, S: supervision.Similarity) -> Outcome:
    """Objective and yardstick of a result; of the best codes of a published run where the last are not."""
    best = result.stats.get("best_objective", np.inf)
    if best < result.objective:
        return Outcome(best, S.ksh_objective(result.stats["best_B"]))
    return Outcome(result.objective, result.ksh_objective)


def methods(p: Problem) -> Iterator[Method]:
    """All methods on one problem."""

    def bitwise_pairs(mode, seed, q, **settings):
        result = codes.bitwise(p.pairs, q, loss="hinge", mode=mode, rng=seed, certify=False, **settings)
        return Outcome(result.objective, p.S.ksh_objective(result.B))

    def cyclic(mode):
        return {} if mode == "published" else {"order": "cyclic"}

    def mode_of(S, learner, **settings):
        return lambda mode, seed, q: outcome(learner(S, q, mode=mode, rng=seed, certify=False, **settings), S)

    yield Method("bitwise ksh", p.n, mode_of(p.S, codes.bitwise))
    yield Method("bitwise hinge, pairs", p.n, bitwise_pairs)
    long = "our cycles take minutes" if p.name == "corel5k" else ""
    yield Method(
        "bitwise hinge, pairs, cyclic", p.n, lambda m, s, q: bitwise_pairs(m, s, q, **cyclic(m)),
        lambda q: long if q > 16 else "",
    )  # fmt: skip
    for loss in ("hinge", "ksh"):
        yield Method(f"block_graph_cut {loss}", p.n, mode_of(p.S, codes.block_graph_cut, loss=loss))
        run = mode_of(p.small.S, codes.block_graph_cut, loss=loss, refit=p.small.ridge)
        yield Method(f"block_graph_cut {loss} + ridge", p.small.n, run)
    for variant, loss in (("sdh", "squared"), ("sdh", "hinge"), ("fsdh", "squared")):
        if loss == "hinge" and p.is_multilabel:
            yield Method("sdh hinge", p.n, lambda m, s, q: Outcome(0.0, 0.0), lambda q: "one label a point")
            continue
        part = p.small if loss == "hinge" else p
        name = f"{variant}{' hinge' if loss == 'hinge' else ''}"
        yield Method(name, p.n, mode_of(p.S, codes.discrete_cyclic, variant=variant, loss=loss))
        run = mode_of(part.S, codes.discrete_cyclic, variant=variant, loss=loss, refit=part.ridge)
        yield Method(f"{name} + ridge", part.n, run)
    yield Method("column_sampling", p.n, mode_of(p.S, codes.column_sampling))
    for weighted in (True, False):

        def pursuit(mode, seed, q, weighted=weighted, S=p.S):
            settings = {"max_iter": q} if mode == "published" else {}
            return mode_of(S, codes.matrix_pursuit, weighted=weighted, **settings)(mode, seed, q)

        name = f"matrix_pursuit {'weighted' if weighted else 'plain'}"
        yield Method(name, p.n, pursuit)
        if p.is_multilabel:
            yield Method(f"{name}, distinct", p.distinct.n, lambda m, s, q, run=pursuit: run(m, s, q, S=p.distinct))
    yield Method("triplets", p.n, lambda m, s, q: triplet_outcome(p, m, s, q))
    for name in ("alternation h(X)", "alternation penalised"):
        run = lambda m, s, q, name=name: alternation_outcome(p.small, name, m, s, q)  # noqa: E731
        reason = "the published mode takes minutes"
        yield Method(name, p.small.n, run, lambda q, reason=reason: reason if q > 32 else "")


def triplet_outcome(p: Problem, mode: str, seed: int, q: int) -> Outcome:
    result = codes.triplets(p.triplets, q, mode=mode, rng=seed)
    return Outcome(result.objective, p.S.ksh_objective(result.B))


_alternations: dict = {}


def alternation_outcome(p: Problem, name: str, mode: str, seed: int, q: int) -> Outcome:
    """Loss of h(X), or loss of Z and penalty at the last mu of the default mode, on all pairs."""
    results = []
    for which in ("default", mode):
        key = (p.name, which, seed, q)
        if key not in _alternations:
            began = time.process_time()
            result = codes.alternation(p.S, q, p.ridge, mode=which, rng=seed, certify=False)
            _alternations[key] = result, time.process_time() - began
        results.append(_alternations[key])
    result, seconds = results[1]
    extra = {
        "seconds": seconds, "loss_Z": result.objective, "loss_hX": result.stats["hashed_objective"],
        "misfit": float(result.stats["trace_misfit"][-1]), "ended": result.stats["ended"],
        "n_outer": result.stats["n_outer"],
    }  # fmt: skip
    if name.endswith("h(X)"):
        return Outcome(extra["loss_hX"], extra["loss_hX"], extra)
    mu = results[0][0].stats["mu"]
    return Outcome(result.objective + mu * extra["misfit"], result.ksh_objective, extra)


# ---- runs and rows -------------------------------------------------------------------------------------------------


def run_row(p: Problem, method: Method, q: int, n_seeds: int, budget: float) -> dict:
    """Both modes with as many seeds as the budget allows."""
    row: dict = {"dataset": p.name, "n": method.n, "method": method.name, "n_bits": q, "published": [], "default": []}
    spent = 0.0
    for seed in range(n_seeds):
        if seed and spent * (seed + 1) / seed > budget:
            break
        for mode in ("published", "default"):
            began = time.process_time()
            found = method.run(mode, seed, q)
            seconds = found.extra.get("seconds", time.process_time() - began)
            spent += seconds
            entry = {"seed": seed, "objective": found.objective, "ksh": found.ksh, "seconds": seconds}
            row[mode].append({**entry, **{k: v for k, v in found.extra.items() if k != "seconds"}})
    return row


def learn_row(p: Problem, q: int, n_seeds: int, rows: list[dict]) -> dict | None:
    """`codes.learn` beside the best of the published rows on the same points."""
    theirs = [row for row in rows if (row["dataset"], row["n"], row["n_bits"]) == (p.name, p.n, q)]
    theirs = [row for row in theirs if row["method"] != "learn" and np.isfinite(row["published"][0]["ksh"])]
    if not theirs:
        return None
    best = min(theirs, key=lambda row: np.mean([run["ksh"] for run in row["published"]]))
    row = {"dataset": p.name, "n": p.n, "method": "learn", "n_bits": q, "against": best["method"], "default": []}
    row["published"] = [{**run, "objective": run["ksh"]} for run in best["published"]]
    for seed in range(n_seeds):
        began = time.process_time()
        value = codes.learn(p.S, q, rng=seed, certify=False).objective
        seconds = time.process_time() - began
        row["default"].append({"seed": seed, "objective": value, "ksh": value, "seconds": seconds})
    return row


def judge(row: dict) -> dict:
    """The numbers of a row that the table shows."""
    a, b = (np.array([run["objective"] for run in row[mode]]) for mode in ("published", "default"))
    slack = ROUNDING * np.abs(a).mean() + 1e-12 * row.get("scale", 0.0)
    ksh = [np.mean([run["ksh"] for run in row[mode]]) for mode in ("published", "default")]
    seconds = [np.mean([run["seconds"] for run in row[mode]]) for mode in ("published", "default")]
    return {
        "published mean": a.mean(), "published best": a.min(), "default mean": b.mean(), "default worst": b.max(),
        "ksh": ksh[1] / ksh[0] if ksh[0] > 0 else np.nan, "seconds": seconds,
        "ok": b.mean() <= a.mean() + slack, "worst ok": b.max() <= a.min() + slack, "seeds": len(a),
    }  # fmt: skip


def line(row: dict) -> str:
    j = judge(row)
    unit = abs(j["published mean"]) or 1.0
    verdict = "ok +" if j["worst ok"] else "ok" if j["ok"] else "WORSE"
    name = f"{row['method']} ({row['against']})" if "against" in row else row["method"]
    return (
        f"| {row['dataset']:7} | {name:33} | {row['n']:5} | {row['n_bits']:3} | {j['published mean']:10.4g} | "
        f"{j['published best'] / unit:6.4f} | {j['default mean'] / unit:6.4f} | {j['default worst'] / unit:6.4f} | "
        f"{j['ksh']:6.4f} | {j['seconds'][0]:6.2f} | {j['seconds'][1]:6.2f} | {j['seeds']} | {verdict:5} |"
    )


HEAD = (
    f"| {'data':7} | {'method':33} | {'n':>5} |   q | {'published':>10} | their best | our mean | our worst | {'ksh':6}"
    f" | {'s':>6} | {'s ours':6} | seeds |       |\n| --- | --- {'| --: ' * 10}| --- |"
)


def settings() -> dict:
    return {
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
        "machine": platform.processor() or platform.machine(), "partners": N_PARTNERS, "triplets": N_TRIPLETS,
        "anchors": N_ANCHORS, "ridge": RIDGE, "small": N_SMALL,
    }  # fmt: skip


def row_key(dataset: str, method: str, n_bits: int) -> str:
    return f"{dataset} / {method} / {n_bits}"


def read(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {"settings": {}, "rows": {}}


def store(path: Path, row: dict) -> None:
    """Add a row to the file, or replace it there."""
    stored = read(path)
    stored["settings"] = settings()
    stored["rows"][row_key(row["dataset"], row["method"], row["n_bits"])] = row
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=1))


def show(rows: list[dict]) -> None:
    print(HEAD)
    for row in rows:
        print(line(row))
    judged = [judge(row) for row in rows]
    print(
        f"{sum(j['ok'] for j in judged)} of {len(rows)} rows no worse in the mean, "
        f"{sum(j['worst ok'] for j in judged)} with our worst seed no worse than their best"
    )


def ratio(row: dict) -> str:
    """Our mean over theirs, with a star where our worst seed is above their best, two where our mean is worse."""
    j = judge(row)
    value = j["default mean"] / j["published mean"] if j["published mean"] else float(not j["ok"])
    text = f"{value:.3f}".removeprefix("0")
    return text + ("" if j["worst ok"] else "*" if j["ok"] else "**")


def summary(rows: list[dict], n_bits: list[int]) -> None:
    """A method a line, a data set a column: the ratios for each code length, and seconds."""
    print(f"| method | {' | '.join(DATASETS)} | s | s ours |\n| --- {'| --- ' * len(DATASETS)}| --: | --: |")
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = {(row["dataset"], row["n_bits"]): row for row in rows if row["method"] == method}
        cells = [
            " ".join(ratio(mine[name, q]) if (name, q) in mine else "–" for q in n_bits)
            if any((name, q) in mine for q in n_bits)
            else ""
            for name in DATASETS
        ]
        seconds = np.median([judge(row)["seconds"] for row in mine.values()], axis=0)
        print(f"| {method} | {' | '.join(cells)} | {seconds[0]:.2g} | {seconds[1]:.2g} |")


def warm_up() -> None:
    """Compile the kernels."""
    rng = np.random.default_rng(0)
    for y in (np.arange(60) % 3, np.maximum(rng.random((60, 6)) < 0.3, np.eye(60, 6)).astype(int)):
        p = Problem("warm", rng.normal(size=(60, 5)), y)
        for method in methods(p):
            if not method.left_out(4):
                for mode in ("published", "default"):
                    method.run(mode, 0, 4)
    _alternations.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--methods", nargs="+", help="names, or beginnings of names, of the second column")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=180.0, help="CPU seconds a row")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--missing", action="store_true", help="run only what the file does not have")
    parser.add_argument("--show", action="store_true", help="print the rows of the file")
    parser.add_argument("--summary", action="store_true", help="with --show: our mean over theirs, a method a line")
    options = parser.parse_args()

    def wanted(dataset: str, method: str, n_bits: int) -> bool:
        chosen = options.methods is None or any(method.startswith(name) for name in options.methods)
        return chosen and dataset in options.datasets and n_bits in options.bits

    if options.show:
        stored = read(options.json)
        rows = [row for row in stored["rows"].values() if wanted(row["dataset"], row["method"], row["n_bits"])]
        print(stored["settings"])
        summary(rows, options.bits) if options.summary else show(rows)
        return
    print(settings())
    warm_up()
    print(HEAD, flush=True)
    rows = []
    for name in options.datasets:
        p = problem(name)
        for method in methods(p) if p is not None else ():
            for q in options.bits:
                if p is None or not wanted(name, method.name, q):
                    continue
                if options.missing and row_key(name, method.name, q) in read(options.json)["rows"]:
                    continue
                reason = method.left_out(q)
                if reason:
                    print(f"({name}, {method.name}, {q} bits: left out, {reason})")
                    continue
                row = run_row(p, method, q, options.seeds, options.budget)
                rows.append(row)
                print(line(row), flush=True)
                store(options.json, row)
        for q in options.bits:
            if p is not None and wanted(name, "learn", q):
                row = learn_row(p, q, options.seeds, list(read(options.json)["rows"].values()))
                if row is not None:
                    rows.append(row)
                    print(line(row), flush=True)
                    store(options.json, row)
        _alternations.clear()
    show(rows)


if __name__ == "__main__":
    main()
