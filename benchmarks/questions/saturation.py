"""Does the sigmoid of latent factor hashing saturate before similar pairs are close, and when does it show?

    python -m benchmarks.questions.saturation --quick      half a minute, digits, 8 and 64 bits, one seed
    python -m benchmarks.questions.saturation              five seeds, two data sets, 8 to 128 bits: 20 CPU minutes
    python -m benchmarks.questions.saturation --table      only the tables of the rows that are there

The loss of a similar pair, log(1 + exp(-a u.v)), published with a = 1/2, falls by e for each 2 of inner product: from
u.v = 2 log 99 = 9.2 on, its slope is below a hundredth of what it may be. Codes of q bits are then q/2 - 4.6 bits
apart. What follows depends on who is asked, so three models are run on the same rows, over code length and
temperature a:

lfh      the factors U of `codes.latent_factor`, published and default, with their prior; b = 30 is the published one.
         With a prior, a and b are one number: U sqrt(2a) has the loss of a = 1/2 and the prior of 2ab.
free     U = tanh(Z), Z free, from the same start by the same optimiser (80 evaluations of L-BFGS), for each loss
tied     U = tanh(Phi W), linear in kernel features Phi: what a network is, without one

Losses: logistic on inner products; logistic on q cos(u, v), so that lengths cannot make up for angles; Cauchy (Cao,
Long, Liu, Wang, "Deep Cauchy hashing for Hamming space retrieval", CVPR 2018) and Student's t with 3 degrees, on
d = q (1 - cos)/2: a similar pair costs -log p, a dissimilar one -log(1 - p), p = (1 + d/g)^(-(f+1)/2), g = 4, f = 1, 3.

Each row: Hamming distances of similar and dissimilar training pairs; the share of similar ones more than 2 bits apart
("far"), the mean slope of the loss at these over its slope at u.v = 0 ("pull"), their share of all slopes ("mass"); the
cosine of similar pairs; then for held-out queries against held-out rows MAP and precision within 2 bits. Of "lfh" and
"free" the functions are kernel ridge regressions of the signs; "tied" has its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.questions.command import main_of
from benchmarks.questions.cosdish_fasthash import Task
from benchmarks.rows import Rows, clock, interval, table
from bqp import codes, supervision
from hashers import KernelFunction, metrics

OPTIONS = {"maxcor": 10, "ftol": 0.0, "gtol": 0.0}  # every loss gets all its evaluations
ROWS = Path(__file__).resolve().parents[1] / "published" / "saturation.jsonl"
KEY = ("dataset", "model", "loss", "n_bits", "seed")
LENGTHS = (8, 16, 32, 64, 128)
N_TRAIN, N_UNSEEN, ANCHORS, EVALUATIONS, RADIUS = 300, 3000, 300, 80, 2
NEAREST = 1e-3  # bits: of equal codes the loss of a dissimilar pair has no bound


@dataclass(frozen=True)
class Logistic:
    """log(1 + exp(a G)) - p a G for inner products G; a may be a number over the code length."""

    a: float = 0.5
    per_bit: bool = False
    cosine: bool = False
    start: float = 0.1

    def __call__(self, G: np.ndarray, similar: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
        a = self.a / q if self.per_bit else self.a
        T = a * G
        chance = expit(T)
        return np.maximum(T, 0.0) - np.log(np.maximum(chance, 1.0 - chance)) - similar * T, a * (chance - similar)

    def total(self, G: np.ndarray, similar: np.ndarray, q: int) -> float:
        """The sum over all pairs (a diagonal of zeros adds a constant); G is overwritten with the slopes."""
        a = self.a / q if self.per_bit else self.a
        E, F = _scratch(len(G))
        G *= a
        np.abs(G, out=E)
        value = 0.5 * float(G.sum() + E.sum()) - float(np.vdot(similar, G))
        np.exp(np.negative(E, out=E), out=E)
        E += 1.0
        value += float(np.log(E, out=F).sum())
        np.divide(1.0, E, out=E)
        E -= 0.5
        np.copysign(E, G, out=G)  # the chance of T less a half
        G += 0.5
        G -= similar
        G *= a
        return value


@dataclass(frozen=True)
class Heavy:
    """-log p of similar, -log(1 - p) of dissimilar pairs, p = (1 + d/g)^(-(f + 1)/2) at distance d = (q - G)/2."""

    f: float = 1.0
    g: float = 4.0
    cosine: bool = True
    start: float = 0.1

    def __call__(self, G: np.ndarray, similar: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
        d = np.maximum(0.5 * (q - G), NEAREST)
        power = 0.5 * (self.f + 1.0)
        log_p = -power * np.log1p(d / self.g)
        slope_p = -power / (self.g + d)  # of log p by d
        ratio = np.exp(log_p) / -np.expm1(log_p)
        value = -similar * log_p - (1.0 - similar) * np.log(-np.expm1(log_p))
        return value, -0.5 * (-similar * slope_p + (1.0 - similar) * ratio * slope_p)

    def total(self, G: np.ndarray, similar: np.ndarray, q: int) -> float:
        """As in `Logistic`."""
        power = 0.5 * (self.f + 1.0)
        E, F = _scratch(len(G))
        np.maximum(np.multiply(np.subtract(q, G, out=E), 0.5, out=E), NEAREST, out=E)
        E /= self.g
        E += 1.0  # 1 + d/g
        value = power * float(np.vdot(similar, np.log(E, out=F)))
        np.power(E, -power, out=F)  # p
        np.divide(-0.5 * power / self.g, E, out=E)  # slope of a similar pair
        np.subtract(1.0, F, out=G)
        F /= G
        value -= float(np.log(G, out=G).sum() - np.vdot(similar, G))
        F *= E  # less the slope of a dissimilar one
        np.add(E, F, out=E)
        E *= similar
        np.subtract(E, F, out=G)
        return value


LOSSES: dict[str, Callable] = {
    "logistic 1/2": Logistic(),
    "logistic 1/8": Logistic(0.125),
    "logistic 8/q": Logistic(8.0, per_bit=True),
    "logistic 1/2, start 1": Logistic(start=1.0),
    "logistic 1/2, cosine": Logistic(cosine=True),
    "logistic 8/q, cosine": Logistic(8.0, per_bit=True, cosine=True),
    "cauchy": Heavy(),
    "t, 3 degrees": Heavy(f=3.0),
}
LFH = {f"{mode}, b = {b:g}": (mode, b) for b in (7.5, 30.0, 120.0) for mode in ("published", "default")}


@cache
def _scratch(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Arrays to write to: fresh ones of this size cost more than what is computed in them."""
    return np.empty((n, n)), np.empty((n, n))


def objective(U: np.ndarray, similar: np.ndarray, loss) -> tuple[float, np.ndarray]:
    """Mean loss over pairs of distinct points, and its gradient in U."""
    n, q = U.shape
    if loss.cosine:
        length = np.sqrt(np.einsum("ik,ik->i", U, U) + 1e-12)
        V = U * (np.sqrt(q) / length)[:, None]
    else:
        V = U
    G = V @ V.T
    np.fill_diagonal(G, 0.0)
    value = loss.total(G, similar, q)
    np.fill_diagonal(G, 0.0)
    slope = G  # they replaced the inner products
    gradient = 2.0 * slope @ V
    if loss.cosine:  # only what turns the vector
        gradient = (gradient - V * (np.einsum("ik,ik->i", gradient, V) / q)[:, None]) * (np.sqrt(q) / length)[:, None]
    return value / n**2, gradient / n**2


def minimise(similar: np.ndarray, q: int, loss, seed: int, features: np.ndarray | None = None, most=EVALUATIONS):
    """Real codes tanh(Z), and the weights W of Z = Phi W (Z itself without features)."""
    rng = np.random.default_rng(seed)
    n = len(similar)
    A = np.eye(n) if features is None else features
    start = loss.start * rng.standard_normal((A.shape[1], q))

    def f(w):
        W = w.reshape(-1, q)
        Z = W if features is None else A @ W
        U = np.tanh(Z)
        value, gradient = objective(U, similar, loss)
        gradient = gradient * (1.0 - U * U)
        return value, (gradient if features is None else A.T @ gradient).ravel()

    found = minimize(f, start.ravel(), jac=True, method="L-BFGS-B", options=OPTIONS | {"maxfun": most})
    W = found.x.reshape(-1, q)
    return np.tanh(W if features is None else A @ W), W


def kernel_features(X: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """A map to centred, whitened values of Gaussian kernels at random rows."""
    rng = np.random.default_rng(seed)
    anchors = rng.permutation(X)[:ANCHORS].astype(np.float64)
    squares = _squares(X, anchors)
    width = 0.5 * np.median(squares)
    K = np.exp(-squares / (2.0 * width))
    mean = K.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(K.T))
    keep = values > 1e-4 * values[-1]
    whiten = vectors[:, keep] / np.sqrt(values[keep])
    scale = np.sqrt(keep.sum())  # Phi W has entries of the size of those of W
    return lambda rows: (np.exp(-_squares(rows, anchors) / (2.0 * width)) - mean) @ whiten / scale


def _squares(X, A):
    X = X.astype(np.float64)
    return np.maximum((X**2).sum(1)[:, None] + (A**2).sum(1) - 2.0 * X @ A.T, 0.0)


def measure(U: np.ndarray, B: np.ndarray, similar: np.ndarray, loss) -> dict:
    """Distances, slopes and angles of the training pairs."""
    n, q = B.shape
    i, j = np.triu_indices(n, 1)
    codes_ = B.astype(np.float64)
    distance = (0.5 * (q - codes_ @ codes_.T))[i, j]
    length = np.sqrt((U**2).sum(axis=1))
    cosine = (U @ U.T)[i, j] / np.maximum(length[i] * length[j], 1e-12)
    G = q * cosine if loss.cosine else (U @ U.T)[i, j]
    alike = similar[i, j] > 0
    slope = np.abs(loss(G, similar[i, j], q)[1])
    signs_slope = np.abs(loss(q - 2.0 * distance, similar[i, j], q)[1])
    full = abs(float(loss(np.zeros(1), np.ones(1), q)[1][0]))
    far = alike & (distance > RADIUS)
    return {
        "similar": distance[alike].mean(), "similar_95": np.quantile(distance[alike], 0.95),
        "dissimilar": distance[~alike].mean(), "dissimilar_5": np.quantile(distance[~alike], 0.05),
        "far": far.sum() / alike.sum(),
        "pull": slope[far].mean() / full if far.any() else None,
        "pull_signs": signs_slope[far].mean() / full if far.any() else None,
        "mass": slope[far].sum() / slope.sum() if slope.sum() else 0.0,
        "cosine": cosine[alike].mean(), "length": np.mean(length / np.sqrt(q)),
    }  # fmt: skip


def run(task: Task, model: str, name: str, q: int, seed: int) -> dict:
    """One row: learn real codes, take signs, fit functions, score."""
    X, y = task.train
    similar = (y[:, None] == y).astype(np.float64)
    with clock() as seconds:
        if model == "lfh":
            mode, beta = LFH[name]
            loss = Logistic()
            result = codes.latent_factor(supervision.from_labels(y), q, beta=beta, mode=mode, rng=seed, certify=False)
            U, B = result.stats["U"], result.B
        else:
            loss = LOSSES[name]
            features = kernel_features(X, seed) if model == "tied" else None
            U, W = minimise(similar, q, loss, seed, None if features is None else features(X))
            B = np.where(U >= 0, 1, -1).astype(np.int8)
    if model == "tied":
        query, unseen = (
            np.where(features(rows) @ W >= 0, 1, -1).astype(np.int8) for rows in (task.query[0], task.unseen[0])
        )
    else:
        function = KernelFunction(n_anchors=ANCHORS, random_state=seed).fit(X, B)
        query, unseen = function.predict(task.query[0]), function.predict(task.unseen[0])
    labels = task.query[1], task.unseen[1]
    row = measure(U, B, similar, loss) | {
        "map": metrics.mean_average_precision(query, unseen, *labels),
        "precision_radius2": metrics.precision_at_radius(query, unseen, *labels, radius=RADIUS),
        "recall_radius2": metrics.recall_at_radius(query, unseen, *labels, radius=RADIUS),
        "map_learned": metrics.mean_average_precision(query, B, labels[0], y),
    }
    distance = 0.5 * (q - query.astype(np.float32) @ unseen.astype(np.float32).T)
    alike = labels[0][:, None] == labels[1]
    row["unseen_similar"], row["unseen_dissimilar"] = distance[alike].mean(), distance[~alike].mean()
    return {key: None if value is None else round(float(value), 6) for key, value in row.items()} | seconds


MODELS = {"lfh": list(LFH), "free": list(LOSSES), "tied": list(LOSSES)}


def make(rows: Rows, names, lengths, seeds, models) -> None:
    """The runs that are missing, seed by seed."""
    for seed in seeds:
        for name in names:
            task = None
            for model in models:
                for loss in MODELS[model]:
                    for q in lengths:
                        key = {"dataset": name, "model": model, "loss": loss, "n_bits": q, "seed": seed}
                        if rows.has(key):
                            continue
                        task = Task.of(name, seed, N_TRAIN, N_UNSEEN) if task is None else task
                        row = run(task, model, loss, q, seed)
                        rows.add({**key, **row})
                        print(
                            f"{name} {model:5} {loss:22} {q:4} bits, seed {seed}: similar {row['similar']:5.1f}, far "
                            f"{row['far']:.3f}, map {row['map']:.4f}, p@2 {row['precision_radius2']:.4f} "
                            f"{row['cpu']:.1f} s", flush=True,
                        )  # fmt: skip


COLUMNS = {
    "map": "MAP", "precision_radius2": "precision within 2 bits", "similar": "mean distance of similar pairs, bits",
    "far": "share of similar pairs more than 2 bits apart", "pull": "slope of the loss at these, over that at 0",
    "cosine": "mean cosine of similar pairs",
}  # fmt: skip


def tables(rows: Rows, columns=tuple(COLUMNS)) -> str:
    """A table for each data set and column: models and losses down, code lengths across."""
    stops = [[name, *map(_stops_at(loss), LENGTHS)] for name, loss in LOSSES.items()]
    parts = [
        "## Where the slope of a similar pair falls to a hundredth of its largest value\n",
        table(["loss", *(f"{q} bits" for q in LENGTHS)], stops),
        "\nHamming distance in bits; 0: at none.\n",
    ]
    for name in sorted({row["dataset"] for row in rows}):
        seeds = len({row["seed"] for row in rows.where(dataset=name)})
        for column in columns:
            parts.append(f"\n## {name}: {COLUMNS[column]}, {seeds} seeds\n")
            lengths = sorted({row["n_bits"] for row in rows.where(dataset=name)})
            lines = []
            for model, losses_ in MODELS.items():
                for loss in losses_:
                    found = [rows.where(dataset=name, model=model, loss=loss, n_bits=q) for q in lengths]
                    if any(found):
                        lines.append([f"{model}: {loss}", *(_cell(runs, column) for runs in found)])
            parts.append(table(["", *(f"{q} bits" for q in lengths)], lines))
    return "\n".join(parts)


def _cell(runs: list[dict], column: str) -> str:
    values = [row[column] for row in runs if row[column] is not None]
    if not values:
        return ""
    mean, half = interval(values)
    digits = 1 if column == "similar" else 3
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")


def _stops_at(loss):
    """Of a code length: the largest distance at which the slope of a similar pair is below a hundredth of its most."""

    def at(q: int) -> str:
        d = np.arange(0, q + 1)
        slope = np.abs(loss(q - 2.0 * d, np.ones(len(d)), q)[1])
        below = np.flatnonzero(slope < 0.01 * slope.max())
        return str(below.max() if len(below) else 0)

    return at


def main() -> None:
    main_of(__doc__ or "", make, tables, ROWS, KEY, ("models", list(MODELS)), LENGTHS, ([8, 64], 1))


if __name__ == "__main__":
    main()
