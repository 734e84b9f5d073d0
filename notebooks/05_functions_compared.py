# %% [markdown]
# # Which function should compute the bits?
#
# **Question.** Step 2 of two-step hashing fits one function a bit to codes that are already there. On the same codes,
# how do linear functions, kernels and boosted trees compare, and is the gap between them larger than the gap between
# good and bad codes?

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from style import COLORS, interval, markdown

from bqp import codes, supervision
from hashers import KernelFunction, LinearFunction, TreesFunction, metrics

Q, SEEDS = 32, range(5)
FUNCTIONS = {
    "linear ridge": lambda seed: LinearFunction(),
    "kernel ridge": lambda seed: KernelFunction(n_anchors=300, random_state=seed),
    "boosted trees": lambda seed: TreesFunction(n_estimators=40, random_state=seed),
}
CODES = {
    "near-optimal": lambda S, seed: codes.learn(S, Q, rng=seed, certify=False).B,
    "COSDISH, published": lambda S, seed: codes.column_sampling(S, Q, mode="published", rng=seed, certify=False).B,
}


def rings(seed):
    """Six classes in a plane, interleaved in angle and radius, with 8 useless features."""
    rng = np.random.default_rng(seed)
    y = np.arange(1200) % 6
    angle, radius = rng.uniform(0, 2 * np.pi, 1200), 1 + y // 2 + rng.normal(0, 0.13, 1200)
    half = np.where(y % 2 == 0, 0.0, np.pi)
    angle = half + angle / 2
    X = np.c_[radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=(1200, 8)) * 0.3]
    return X, y


def digits(seed):
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    return X[order], y[order]


# %% [markdown]
# Queries (the last rows of each draw) are held out; the database is what the functions make of the other rows, half of
# which were never shown to the learner. Ties are averaged over.

# %%
score, seconds = {}, {}
for data in (digits, rings):
    for seed in SEEDS:
        X, y = data(seed)
        train, unseen, query = slice(0, 500), slice(500, 1000), slice(1000, None)
        S = supervision.from_labels(y[train])
        for kind, learn in CODES.items():
            B = learn(S, seed)
            for name, make in FUNCTIONS.items():
                began = time.process_time()
                function = make(seed).fit(X[train], B)
                seconds.setdefault(name, []).append(time.process_time() - began)
                value = metrics.mean_average_precision(
                    function.predict(X[query]), function.predict(X[unseen]), y[query], y[unseen]
                )
                score.setdefault((data.__name__, kind, name), []).append(value)
rows = []
for (data, kind, name), values in score.items():
    mean, half = interval(values)
    rows.append([data, kind, name, f"{mean:.3f} ± {half:.3f}", f"{np.median(seconds[name]):.2f}"])
markdown(["data", "codes", "function", "MAP", "CPU s of fitting"], rows)

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), sharey=True)
for axis, data in zip(axes, ("digits", "rings")):
    for k, kind in enumerate(CODES):
        mean, half = np.array([interval(score[data, kind, name]) for name in FUNCTIONS]).T
        axis.bar(np.arange(3) + 0.4 * k - 0.2, mean, 0.36, yerr=half, capsize=3, color=COLORS[k], label=kind)
    axis.set(title=data, ylim=(0, 1.05))
    axis.set_xticks(range(3), [name.replace(" ", "\n") for name in FUNCTIONS])
axes[0].set_ylabel("MAP, unseen database")
axes[1].legend(title="codes", loc="upper left", frameon=True)
plt.show()

# %%
best = {key: np.array(values) for key, values in score.items()}
by_function = best["digits", "near-optimal", "kernel ridge"] - best["digits", "near-optimal", "linear ridge"]
by_codes = best["digits", "near-optimal", "kernel ridge"] - best["digits", "COSDISH, published", "kernel ridge"]
for text, values in (("kernel less linear", by_function), ("near-optimal less COSDISH codes", by_codes)):
    mean, half = interval(values)
    print(f"digits, MAP: {text} {mean:+.3f} ± {half:.3f}")
assert by_function.min() > 0.02 and by_function.mean() > 3 * abs(by_codes.mean())
assert (
    best["rings", "near-optimal", "linear ridge"].mean() < best["rings", "near-optimal", "boosted trees"].mean() - 0.2
)

# %% [markdown]
# **Answer.** The function decides. On digits the kernel gains several points of MAP over a linear function on the same
# codes, several times what near-optimal codes gain over published ones; on rings a linear function fails whatever the
# codes are. Trees find the few features that matter there and cost more to fit. Intervals are 95 % over five draws of
# rows and seeds; differences are paired.
