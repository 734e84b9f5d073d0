"""Latent factor hashing: published against default over five seeds: relaxed objective, loss of the codes, CPU seconds.

    python -m benchmarks.codes_latent_factor

Both modes from random starts (the default has no principal components either), beta 30. Values are per known pair.
"""

import time

import numpy as np

from benchmarks.codes_matrix_pursuit import label_sets
from bqp import codes, supervision
from bqp.codes.latent_factor import relaxed_objective

SEEDS = range(5)


def similarities():
    """(name, similarity): 5,000 points of ten classes, and the multi-label sets."""
    yield "10 classes, n = 5,000", supervision.from_labels(np.arange(5000) % 10)
    for name, full, _ in label_sets():
        if not name.startswith("10 classes"):
            yield name, full


def main():
    for name, S in similarities():
        for q in (16, 32, 64):
            seeds = SEEDS if S.n_groups < 1000 else SEEDS[:1]
            relaxed, loss, seconds = ({"published": [], "default": []} for _ in range(3))
            for mode in relaxed:
                for seed in seeds:
                    began = time.process_time()
                    result = codes.latent_factor(S, q, mode=mode, rng=seed, certify=False)
                    seconds[mode].append(time.process_time() - began)
                    relaxed[mode].append(relaxed_objective(S, result.stats["U"]) / S.total_weight)
                    loss[mode].append(result.objective / S.total_weight)
            lost = any(
                ours > theirs
                for values in (relaxed, loss)
                for ours, theirs in zip(values["default"], values["published"])
            )
            print(
                f"{name:24} q {q:3} relaxed: published {np.mean(relaxed['published']):.4f} "
                f"(best {min(relaxed['published']):.4f}) default {np.mean(relaxed['default']):.4f} "
                f"(worst {max(relaxed['default']):.4f}); codes: published {np.mean(loss['published']):.4f} "
                f"(best {min(loss['published']):.4f}) default {np.mean(loss['default']):.4f} "
                f"(worst {max(loss['default']):.4f}); CPU s {np.median(seconds['published']):.2f} / "
                f"{np.median(seconds['default']):.2f}  {'WORSE' if lost else 'ok'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
