"""Relaxations: published against default of DGH and of the spectral relaxation, and solvers of one relaxed bit.

    python -m benchmarks.codes_relaxed

Five seeds each. Objectives of DGH over n q (higher is better there: its sign is turned), of the others over the sum of
weights times q^2; CPU seconds are medians.
"""

import time

import numpy as np

from benchmarks.codes_matrix_pursuit import label_sets
from bqp import codes
from hashers import datasets
from hashers._anchor_graph import anchor_graph

SEEDS = range(5)


def timed(method, *arguments, **settings):
    began = time.process_time()
    result = method(*arguments, **settings)
    return result, time.process_time() - began


def main():
    X = datasets.load("digits").part("train")[0]
    for q in (16, 32, 64):
        lost, rows = 0, {"I": [], "R": [], "default": []}
        for seed in SEEDS:
            Z = anchor_graph(X, random_state=seed)[0]
            values = {}
            for name in rows:
                how = {"mode": "published", "init": name} if name != "default" else {}
                result, seconds = timed(codes.discrete_graph, Z, q, rng=seed, **how)
                values[name] = -result.objective / (len(X) * q)
                rows[name].append((values[name], seconds))
            lost += values["default"] < max(values["I"], values["R"])
        text = "  ".join(
            f"{name} {np.mean([v for v, _ in r]):.4f} {np.median([s for _, s in r]):.2f} s" for name, r in rows.items()
        )
        print(f"DGH, digits, q {q:3}, published from I and from R, default: {text}  {'ok' if not lost else 'WORSE'}")
    for name, S, _ in label_sets():
        seeds = SEEDS if S.n_groups < 1000 else SEEDS[:1]
        for q in (16, 64):
            scale = S.total_weight * q * q
            runs = {
                mode: [timed(codes.spectral_relaxation, S, q, mode=mode, rng=seed, certify=False) for seed in seeds]
                for mode in ("published", "default")
            }
            text = "  ".join(
                f"{mode} {np.mean([r.objective for r, _ in pairs]) / scale:.4f} "
                f"{np.median([seconds for _, seconds in pairs]):.2f} s"
                for mode, pairs in runs.items()
            )
            relaxed = runs["default"][0][0].stats["relaxed_objective"] / scale
            print(f"spectral relaxation, {name}, q {q:3}: {text}  (relaxed {relaxed:.4f})", flush=True)
        if S.n_groups < 1000:
            text = []
            for solver in ("augmented_lagrangian", "box_relaxation", "tabu_search"):
                pairs = [
                    timed(codes.bitwise, S, 16, solver=solver, order="sequential", rng=seed, certify=False)
                    for seed in seeds
                ]
                value = np.mean([r.objective for r, _ in pairs]) / (S.total_weight * 256)
                text.append(f"{solver} {value:.4f} {np.median([s for _, s in pairs]):.2f} s")
            print(f"one bit after the other, {name}, q  16: {'  '.join(text)}", flush=True)


if __name__ == "__main__":
    main()
