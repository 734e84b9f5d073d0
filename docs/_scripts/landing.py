"""Draw the two halves of the picture on the first page, from a run on the digits that ship with scikit-learn.

Run ``python docs/_scripts/landing.py`` (two CPU minutes; ``--draw`` draws the numbers of the last run again). Left: how
far the codes of published methods and of ours are above the proven bound of the ksh objective, 32 bits, labels of the
1,497 training rows, medians of five seeds. Right: MAP of 300 queries against the 1,497 rows by code length, both
hashed, expected ties, seed 0. The numbers stay in ``docs/_static/landing.json``.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt

from bqp import codes, supervision
from hashers import ITQ, LSH, TSH, datasets, metrics

STATIC = Path(__file__).parents[1] / "_static"
NUMBERS = STATIC / "landing.json"
N_BITS, SEEDS, LENGTHS = 32, range(5), (8, 16, 32, 64)
THEMES = {
    "light": {"text": "#333333", "grid": "#dddddd", "ours": "#1a5fb4", "theirs": "#b3540a", "other": "#6a6a6a"},
    "dark": {"text": "#e0e0e0", "grid": "#4a4a4a", "ours": "#7fb8f5", "theirs": "#f2a65a", "other": "#b0b0b0"},
}
LEARNERS = {
    "Eigenvectors": lambda S, seed: codes.spectral_relaxation(S, N_BITS, mode="published", rng=seed),
    "COSDISH": lambda S, seed: codes.column_sampling(S, N_BITS, mode="published", rng=seed),
    "HBMP": lambda S, seed: codes.matrix_pursuit(S, N_BITS, mode="published", weighted=False, rng=seed),
    "TSH": lambda S, seed: codes.bitwise(S, N_BITS, mode="published", rng=seed),
    "codes.learn": lambda S, seed: codes.learn(S, N_BITS, rng=seed),
}


def measure():
    data = datasets.load("digits")
    (X_query, y_query), (X, y) = data.part("query"), data.part("train")
    S = supervision.from_labels(y)
    gaps = {}
    for name, learner in LEARNERS.items():
        results = [learner(S, seed) for seed in SEEDS]
        excess = [100.0 * (r.ksh_objective / results[0].ksh_lower_bound - 1.0) for r in results]
        gaps[name] = float(np.median(excess))
    scores = {name: [] for name in ("TSH", "ITQ", "LSH")}
    for n_bits in LENGTHS:
        for method in (TSH, ITQ, LSH):
            hasher = method(n_bits, random_state=0).fit(X, y)
            value = metrics.mean_average_precision(hasher.transform(X_query), hasher.transform(X), y_query, y)
            scores[method.__name__].append(float(value))
    return {"gap_percent": gaps, "n_bits": list(LENGTHS), "map": scores}


def prepare(colours):
    figure, axes = plt.subplots(figsize=(4.9, 3.5), layout="constrained")
    axes.tick_params(colors=colours["text"], which="both", length=0)
    axes.xaxis.label.set_color(colours["text"])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(color=colours["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def draw_gaps(gaps, colours):
    figure, axes = prepare(colours)
    names = sorted(gaps, key=gaps.get, reverse=True)
    for row, name in enumerate(reversed(names)):
        colour, gap = colours["ours" if name == "codes.learn" else "theirs"], gaps[name]
        text = f"{gap:.0f} %" if gap > 99 else f"{gap:.2g} %"
        axes.plot([0.03, gap], [row, row], color=colour, linewidth=2)
        axes.plot(gap, row, "o", color=colour, markersize=8)
        place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(text, (gap, row), color=colours["text"], **place)
    labels = [name if name == "codes.learn" else f"{name}, published" for name in reversed(names)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_xscale("log")
    axes.set_xlim(0.03, 150)
    axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100 %"])
    axes.minorticks_off()
    axes.grid(visible=False, axis="y")
    axes.set_title("Codes above the proven bound", fontsize=13, loc="right", color=colours["text"])
    return figure


def draw_scores(lengths, scores, colours):
    figure, axes = prepare(colours)
    for name, values in scores.items():
        colour = colours["ours" if name == "TSH" else "other"]
        axes.plot(range(len(lengths)), values, "s--" if name == "LSH" else "o-", color=colour, linewidth=2)
        below = name == "LSH"
        place = {"xytext": (8, -4 if below else 4), "textcoords": "offset points", "va": "top" if below else "bottom"}
        axes.annotate(name, (len(lengths) - 1, values[-1]), color=colours["text"], **place)
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set_xlim(-0.2, len(lengths) - 0.55)
    axes.set_ylim(0.2, 1.08)
    axes.set_xlabel("bits")
    axes.set_title("MAP of unseen digits", fontsize=13, color=colours["text"])
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draw", action="store_true", help="draw the numbers of the last run, measure nothing")
    if not parser.parse_args().draw:
        NUMBERS.write_text(json.dumps(measure(), indent=1) + "\n")
    numbers = json.loads(NUMBERS.read_text())
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bqp", "font.family": "sans-serif", "font.size": 13})
    for theme, colours in THEMES.items():
        for name, figure in {
            "certificate": draw_gaps(numbers["gap_percent"], colours),
            "retrieval": draw_scores(numbers["n_bits"], numbers["map"], colours),
        }.items():
            figure.savefig(STATIC / f"{name}-{theme}.svg", transparent=True, metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    main()
