# %% [markdown]
# # Scaling to millions
#
# **Question.** A similarity over n points has n² entries. How do time and memory of learning codes grow with n when it
# is never written down, and what is left to do for a million points?

# %%
import gc
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
from style import COLORS, markdown

from bqp import codes, supervision
from hashers import BinaryIndex, LinearFunction

Q, SIZES = 32, (10_000, 30_000, 100_000, 300_000, 1_000_000)
rng = np.random.default_rng(0)
centres = rng.normal(size=(50, 32)).astype(np.float32)


def points(n):
    """Fifty classes of overlapping clouds in 32 dimensions."""
    y = rng.integers(0, 50, n)
    return centres[y] + rng.normal(size=(n, 32)).astype(np.float32), y


def timed(call):
    """Result, CPU seconds, peak MiB of what was allocated."""
    gc.collect()
    tracemalloc.start()
    began = time.process_time()
    result = call()
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, seconds, peak


# %% [markdown]
# Two ways over the same labels: codes of all points at once, merged by class (`codes.learn`), and SDH's codes, where
# every point has a code of its own (`discrete_cyclic`). Then a linear function, and its codes.

# %%
X, y = points(2_000)  # compiles
codes.learn(supervision.from_labels(y), Q, rng=0, certify=False)
codes.discrete_cyclic(supervision.from_labels(y), Q, rng=0, certify=False)
STEPS = ("labels to codes (merged)", "labels to codes (SDH)", "linear function", "hashing")
seconds, memory = {step: [] for step in STEPS}, {step: [] for step in STEPS}
for n in SIZES:
    X, y = points(n)
    S = supervision.from_labels(y)
    learned, *cost = timed(lambda: codes.learn(S, Q, rng=0, certify=False))
    _, *sdh = timed(lambda: codes.discrete_cyclic(S, Q, rng=0, certify=False, mode="published"))
    function, *fit = timed(lambda: LinearFunction(ridge=1.0).fit(X, learned.B))
    B, *hashing = timed(lambda: function.predict(X))
    for step, (s, m) in zip(STEPS, (cost, sdh, fit, hashing)):
        seconds[step].append(s)
        memory[step].append(m)

# %%
rows, exponent = [], {}
for step in STEPS:
    large = slice(1, None)
    x, z = np.log(SIZES[large]), np.log(seconds[step][large])
    slope, error = np.polyfit(x, z, 1), np.polyfit(x, z, 1, cov=True)[1][0, 0] ** 0.5
    exponent[step] = slope[0]
    bytes_a_point = 2**20 * memory[step][-1] / SIZES[-1]
    rows.append(
        [
            step,
            f"{seconds[step][-1]:.2f}",
            f"{slope[0]:.2f} ± {2 * error:.2f}",
            f"{memory[step][-1]:,.0f}",
            f"{bytes_a_point:.0f}",
        ]
    )
markdown(["step", "CPU s at a million", "exponent of n", "peak MiB at a million", "bytes a point"], rows)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6))
for k, step in enumerate(STEPS):
    for axis, table in zip(axes, (seconds, memory)):
        axis.plot(SIZES, table[step], "osD^"[k] + "-", color=COLORS[k], label=step)
for axis, text in zip(axes, ("CPU seconds", "peak memory, MiB")):
    axis.set(xscale="log", yscale="log", xlabel="points", ylabel=text)
axes[1].plot(
    SIZES, np.array(SIZES, dtype=float) ** 2 / 2**20, ":", color=COLORS[6], label="n² bytes: the matrix S in int8"
)
axes[1].set_ylim(top=1e5)
axes[1].legend(fontsize=8)
plt.show()

# %%
index = BinaryIndex(B)
query, y_query = points(100)
_, search_seconds, _ = timed(lambda: index.search(function.predict(query), k=100))
found = index.search(function.predict(query), k=100)[1]
right = np.mean(y[found] == y_query[:, None])
print(f"100 queries in a million codes: {1000 * search_seconds:.0f} ms CPU; {100 * right:.1f} % of the right class")

# %%
assert all(value < 1.35 for value in exponent.values()), exponent
assert max(table[-1] for table in memory.values()) < 4096
assert right > 0.3, "chance is 0.02"

# %% [markdown]
# **Answer.** At most linearly, in time and in memory: the exponents in the table (± two standard errors of the fit,
# four sizes, one run each) are near 1, and below it for merged codes, whose work does not depend on n but for counting
# the labels. A million points take seconds and some hundreds of bytes a point, where the matrix of similarities would
# take a terabyte in int8. A code for every point (SDH) costs most; a function fitted to all rows comes next, and a
# sample of rows does nearly as well.
