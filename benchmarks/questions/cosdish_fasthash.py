"""Why is COSDISH, whose two steps are separate, reported above FastHash, whose steps are interleaved?

    python -m benchmarks.questions.cosdish_fasthash --quick          a few minutes, two seeds on digits
    python -m benchmarks.questions.cosdish_fasthash                  five seeds, two data sets: about an hour of CPU
    python -m benchmarks.questions.cosdish_fasthash --table          only the tables of the rows that are there

Both methods as published, then one thing swapped at a time: what pairs are seen (full columns; 200 sampled partners
a point), soft negative labels -r, the loss, the function of step 2 (linear ridge, kernel ridge, boosted trees), bits
given those before them or all others, functions inside or after code learning. Every run is scored three ways: queries
against the *learned* codes of the training rows, against their *hashed* codes, and against *unseen* rows, hashed. A run
is named by its data, base method, swap, code length and seed; the seed draws training rows, samples and start, so that
the differences to the base are paired. Rows go to a file of JSON lines and are not made again.

Both courses are written out below, so that they can differ in one thing; as published they are those of `bqp.codes`,
bit for bit (tests/benchmarks/test_questions.py). Learned codes of FastHash are the bits that were solved for, before a
function replaced them. "soft labels" of FastHash need a squared loss, and are compared with that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.questions.command import main_of
from benchmarks.rows import Rows, clock, interval, pairs, table
from bqp import codes, losses, supervision
from bqp.codes._columns import Columns, SampledBits, soft_ratio
from bqp.codes.block_descent import EXACT_UP_TO, BlockDescent
from bqp.codes.block_graph_cut import pair_strengths
from bqp.codes.blocks import similar_blocks
from bqp.losses.bits import BitProblems, target_of_bit
from hashers import KernelFunction, LinearFunction, TreesFunction, datasets, metrics
from hashers.functions.refit import Refit

ROWS = Path(__file__).resolve().parents[1] / "published" / "cosdish_fasthash.jsonl"
KEY = ("dataset", "method", "swap", "n_bits", "seed")
SCORES = ("learned", "hashed", "unseen")
TRAIN, UNSEEN, TREES = 2000, 3000, 50
TIE = 1e-5  # scores below keep the bit, as in the authors' code of COSDISH


@dataclass(frozen=True)
class Setting:
    """What a run of either method does."""

    method: str = "cosdish"
    function: str = "linear"
    partners: int | None = None  # sampled partners of each kind a point; None: all pairs
    soft: bool = True
    cyclic: bool = False
    interleaved: bool = False
    loss: str = "ksh"


COSDISH = Setting()
FASTHASH = Setting("fasthash", "trees", partners=100, soft=False, interleaved=True, loss="hinge")
SWAPS = {
    "cosdish": {
        "as published": COSDISH,
        "200 partners a point": replace(COSDISH, partners=100),
        "labels -1": replace(COSDISH, soft=False),
        "kernel": replace(COSDISH, function="kernel"),
        "trees": replace(COSDISH, function="trees"),
        "cyclic bits": replace(COSDISH, cyclic=True),
        "interleaved": replace(COSDISH, interleaved=True),
        "interleaved, kernel": replace(COSDISH, interleaved=True, function="kernel"),
    },
    "fasthash": {
        "as published": FASTHASH,
        "all pairs": replace(FASTHASH, partners=None),
        "squared loss": replace(FASTHASH, loss="ksh"),
        "squared loss, soft labels": replace(FASTHASH, loss="ksh", soft=True),
        "linear": replace(FASTHASH, function="linear"),
        "kernel": replace(FASTHASH, function="kernel"),
        "cyclic bits": replace(FASTHASH, cyclic=True),
        "separate": replace(FASTHASH, interleaved=False),
        "separate, linear": replace(FASTHASH, interleaved=False, function="linear"),
        "separate, kernel": replace(FASTHASH, interleaved=False, function="kernel"),
    },
    "best codes": {f: Setting("best codes", f) for f in ("linear", "kernel", "trees")},
}
COMPARED = {"squared loss, soft labels": "squared loss", "interleaved, kernel": "kernel"}  # a base of their own
COMPARED_TOO = {"separate, linear": "linear", "separate, kernel": "kernel"}


def function_of(name: str, seed: int):
    """The hash function of a setting."""
    if name == "linear":
        return LinearFunction(ridge=1.0)  # as in the authors' code
    if name == "kernel":
        return KernelFunction(n_anchors=500, random_state=seed)
    return TreesFunction(n_estimators=TREES, random_state=seed)


# ---- the two courses, each with its switches -----------------------------------------------------------------------


def cosdish(S, q: int, setting: Setting, refit, seed: int, n_rounds: int = 10, n_alternations: int = 3):
    """Codes of column sampling as in `codes.column_sampling(mode="published")`, with the switches of a setting."""
    import bqp.kernels.columns as kernels

    rng = np.random.default_rng(seed)
    B = np.where(rng.standard_normal((S.n, q)) > 0, 1, -1).astype(np.int8)
    known, bits = np.flatnonzero(S.known), np.arange(q)
    for _ in range(n_rounds):
        omega = known[rng.choice(len(known), min(q, len(known)), replace=False)]
        columns = Columns.of(S, omega, soft_ratio(S, omega) if setting.soft else 1.0)
        others = np.setdiff1d(np.arange(S.n), omega)
        for _ in range(n_alternations):
            sampled, C = SampledBits(columns, omega, others, B), B[omega]
            for k in range(q):
                Q, p = sampled.program(C, bits != k if setting.cyclic else bits < k, k)
                x = np.empty(len(p), dtype=np.int8)
                kernels.balanced_assignment(Q, p, x)
                C[:, k] = x
            B[omega] = C
            scores = columns.scores(C.astype(np.float64))[columns.table_row[others]]
            B[others] = np.where(np.abs(scores) < TIE, B[others], np.where(scores >= 0, 1, -1))
        if setting.interleaved:
            learned = B.copy()
            B = np.where(refit(B, bits) >= 0, 1, -1).astype(np.int8)
    return learned if setting.interleaved else B


def fasthash(S, q: int, setting: Setting, refit, seed: int):
    """(solved bits, bits kept) of block graph cuts as in `codes.block_graph_cut(mode="published")`, with switches.

    The bits kept are outputs of the functions where the course is interleaved, else the solved ones.
    """
    loss = losses.get(setting.loss)
    draws, blocks_rng, order = np.random.SeedSequence(seed).spawn(3)
    parts = similar_blocks(S, loss, np.random.Generator(np.random.PCG64(blocks_rng)), EXACT_UP_TO)
    rng = np.random.Generator(np.random.PCG64(order))
    m = S.n if setting.partners is None else setting.partners
    if setting.soft:
        T = np.where(S.T < 0, soft_ratio(S, np.arange(S.n)) * S.T, S.T)
        S = supervision.from_groups(S.groups, T)
    pairs_in_use = supervision.sample_pairs(S, m, m, draws)
    problems = BitProblems.of(pairs_in_use, loss, q)
    solved = np.ones((S.n, q), dtype=np.int8)
    for visit in range(2 * q if setting.cyclic else q):
        k = visit % q
        if visit >= q:
            problems.remove(k)
        r, shift = (q, 0) if visit >= q else target_of_bit("stagewise", k, q)
        problem = problems.problem(r, shift)
        descent = BlockDescent(problem, np.ones(S.n, dtype=np.int8), EXACT_UP_TO, True)
        for _ in range(2):
            for part in rng.permutation(len(parts)):
                descent.solve_block(parts[part], uphill=True)
        x = solved[:, k] = descent.x
        if setting.interleaved:
            counted = np.ascontiguousarray(problems.B[:, np.flatnonzero(problems.counted)])
            scale = loss.quadratic_scale(r) or 1.0
            weight = pair_strengths(pairs_in_use, problem, counted, r, shift, scale)
            B = problems.B.copy()
            B[:, k] = x
            x = np.where(refit(B, [k], np.maximum(weight, 0.0) / weight.mean())[:, 0] >= 0, 1, -1).astype(np.int8)
        problems.add(k, x, float(problem.energy(x)))
    return solved, problems.B.copy()


# ---- one run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Training, query and unseen database rows of one seed."""

    train: tuple
    query: tuple
    unseen: tuple

    @staticmethod
    def of(name: str, seed: int, n_train: int = TRAIN, n_unseen: int = UNSEEN) -> Task:
        data, rng = datasets.load(name), np.random.default_rng((seed, 7))
        if name == "digits":  # its training rows are the whole database: keep a part of them unseen
            rows = rng.permutation(data.database)
            train, unseen = rows[: min(n_train, 1000)], rows[1000:]
        else:
            train = rng.permutation(data.train)[:n_train]
            unseen = rng.permutation(np.setdiff1d(data.database, data.train))[:n_unseen]
        return Task(*((data.X[rows], data.y[rows]) for rows in (train, data.query, unseen)))


def run(task: Task, setting: Setting, q: int, seed: int) -> dict:
    """Learn codes and functions, and score them."""
    X, y = task.train
    S = supervision.from_labels(y)
    with clock() as seconds:
        refit = Refit(function_of(setting.function, seed), X, np.ones(len(y), dtype=bool))
        if setting.method == "fasthash":
            solved, B = fasthash(S, q, setting, refit, seed)
            function = refit.function(_calls(refit, q)) if setting.interleaved else refit.fit(B)
        elif setting.method == "cosdish":
            seen = (
                S if setting.partners is None else supervision.sample_pairs(S, setting.partners, setting.partners, seed)
            )
            solved = cosdish(seen, q, setting, refit, seed)
            function = refit.fit(solved)
        else:
            solved = codes.learn(S, q, rng=seed, certify=False).B
            function = refit.fit(solved)
    hashed, query, unseen = (function.predict(rows) for rows in (X, task.query[0], task.unseen[0]))
    y_query = task.query[1]
    row = {
        "learned": metrics.mean_average_precision(query, solved, y_query, y),
        "hashed": metrics.mean_average_precision(query, hashed, y_query, y),
        "unseen": metrics.mean_average_precision(query, unseen, y_query, task.unseen[1]),
        "precision_radius2": metrics.precision_at_radius(query, unseen, y_query, task.unseen[1]),
        "objective": S.ksh_objective(solved) / (len(y) * q) ** 2,
        "distinct": len(np.unique(solved, axis=0)),
        "flipped": float(np.mean(solved != hashed)),
    }
    return {name: round(float(value), 5) for name, value in row.items()} | seconds


def _calls(refit: Refit, q: int) -> np.ndarray:
    """The last call that made each bit."""
    last = np.zeros(q, dtype=int)
    for call, bits in enumerate(refit.bits):
        last[bits] = call
    return last


def make(rows: Rows, names, lengths, seeds, methods) -> None:
    """The runs that are missing, seed by seed, so that a file cut short holds whole seeds."""
    for q in lengths:
        for seed in seeds:
            for name in names:
                task = None
                for method in methods:
                    for swap, setting in SWAPS[method].items():
                        key = {"dataset": name, "method": method, "swap": swap, "n_bits": q, "seed": seed}
                        if rows.has(key):
                            continue
                        task = Task.of(name, seed) if task is None else task
                        row = run(task, setting, q, seed)
                        rows.add({**key, **row, "n_train": len(task.train[1]), "n_trees": TREES})
                        shown = " ".join(f"{score} {row[score]:.4f}" for score in SCORES)
                        print(
                            f"{name} {method}, {swap}, {q} bits, seed {seed}: {shown}  {row['cpu']:.1f} s", flush=True
                        )


# ---- tables --------------------------------------------------------------------------------------------------------


def show(mean: float, half: float) -> str:
    return f"{mean:+.3f} ± {half:.3f}"


def swaps_of(rows: Rows, **where) -> list[list[str]]:
    """Lines: method, swap, MAP learned, hashed, unseen, and the paired differences to the base."""
    lines = []
    for method, swaps in SWAPS.items():
        for swap in swaps:
            mine = rows.where(method=method, swap=swap, **where)
            if not mine:
                continue
            base = COMPARED.get(swap, COMPARED_TOO.get(swap, "as published"))
            cells = [method, swap]
            for score in SCORES:
                mean = np.mean([row[score] for row in mine])
                cells.append(f"{mean:.3f}")
            other = rows.where(method=method, swap=base, **where)
            for score in SCORES:
                differences = pairs(mine, other, ["seed"], score) if swap != base else []
                cells.append(show(*interval(differences)) if differences else "")
            cells += [
                f"{np.mean([row['objective'] for row in mine]):.3f}",
                f"{np.mean([row['flipped'] for row in mine]):.3f}",
            ]
            lines.append(cells)
    return lines


BETWEEN = [  # (what is compared, (method, swap, score), (method, swap, score))
    ("as reported: COSDISH learned, FastHash hashed",
     ("cosdish", "as published", "learned"), ("fasthash", "as published", "hashed")),
    ("as reported, COSDISH with trees", ("cosdish", "trees", "learned"), ("fasthash", "as published", "hashed")),
    ("both learned, trees", ("cosdish", "trees", "learned"), ("fasthash", "as published", "learned")),
    ("both unseen, own functions", ("cosdish", "as published", "unseen"), ("fasthash", "as published", "unseen")),
    ("both unseen, trees", ("cosdish", "trees", "unseen"), ("fasthash", "as published", "unseen")),
    ("both unseen, linear", ("cosdish", "as published", "unseen"), ("fasthash", "linear", "unseen")),
    ("both unseen, kernel", ("cosdish", "kernel", "unseen"), ("fasthash", "kernel", "unseen")),
    ("both unseen, kernel, both separate", ("cosdish", "kernel", "unseen"), ("fasthash", "separate, kernel", "unseen")),
    ("COSDISH learned less unseen", ("cosdish", "as published", "learned"), ("cosdish", "as published", "unseen")),
    ("COSDISH with trees, learned less unseen", ("cosdish", "trees", "learned"), ("cosdish", "trees", "unseen")),
]  # fmt: skip


def between(rows: Rows, **where) -> list[list[str]]:
    """Lines: what is compared, and COSDISH less FastHash, paired by seed."""
    lines = []
    for text, (method, swap, score), (other, their_swap, their_score) in BETWEEN:
        mine = [{**row, "value": row[score]} for row in rows.where(method=method, swap=swap, **where)]
        theirs = [{**row, "value": row[their_score]} for row in rows.where(method=other, swap=their_swap, **where)]
        differences = pairs(mine, theirs, ["seed"], "value")
        if differences:
            lines.append([text, show(*interval(differences)), len(differences)])
    return lines


def tables(rows: Rows) -> str:
    """All tables, in Markdown."""
    parts = []
    for name, q in sorted({(row["dataset"], row["n_bits"]) for row in rows}):
        where = {"dataset": name, "n_bits": q}
        seeds = len({row["seed"] for row in rows.where(**where)})
        parts.append(f"## {name}, {q} bits, {seeds} seeds\n\nMAP, COSDISH less FastHash:\n")
        parts.append(table(["compared", "difference", "seeds"], between(rows, **where)))
        parts.append("\nOne swap at a time: MAP, and the paired difference to the base\n")
        head = ["method", "swap", *SCORES, *(f"Δ {score}" for score in SCORES), "objective", "flipped"]
        parts.append(table(head, swaps_of(rows, **where)))
        parts.append("")
    return "\n".join(parts)


def main() -> None:
    main_of(__doc__ or "", make, tables, ROWS, KEY, ("methods", list(SWAPS)), [32], ([16], 2))


if __name__ == "__main__":
    main()
