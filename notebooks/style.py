"""What all notebooks share: how figures look, and intervals of means."""

import matplotlib.pyplot as plt
import numpy as np

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#000000"]  # Okabe and Ito
MARKS = ["o", "s", "^", "D", "v", "P", "X", "*"]

plt.rcParams.update(
    {
        "figure.figsize": (7.5, 3.6), "figure.dpi": 90, "figure.facecolor": "white", "axes.facecolor": "white",
        "savefig.facecolor": "white", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "grid.alpha": 0.3, "font.size": 10, "legend.frameon": False, "figure.constrained_layout.use": True,
        "axes.prop_cycle": plt.cycler(color=COLORS),
    }
)  # fmt: skip


def interval(values):
    """Mean and half the width of its 95 % confidence interval (Student's t) along the first axis."""
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    n = len(values)
    return values.mean(axis=0), t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def markdown(head, rows):
    """A table for the reader."""
    from IPython.display import Markdown

    lines = [" | ".join(map(str, row)) for row in rows]
    return Markdown("\n".join([" | ".join(head), " | ".join(["---"] * len(head)), *lines]))
