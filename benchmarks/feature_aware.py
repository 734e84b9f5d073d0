"""FeatureAwareHash beside the best reference row of each data set and code length: hashed against hashed, 5 seeds.

Run ``python -m benchmarks.feature_aware`` (about an hour on one core; ``--datasets scene --seeds 2`` for a look), and
``--others`` for data sets without reference rows, beside our own TSH, SDH, HBMP and FSDH with the same function.

Splits of the shared files, tie-aware MAP of queries against the database, both hashed (digits: the training rows); a
reference cell is the best of all public implementations and of all kernel widths there, its seeds 1 to 5. "interval" is
1.96 standard errors over our seeds (they draw anchors, parts, batches; the split stays). Nothing is chosen on queries.
The function is the default one, of 2,000 anchors; the reference rows have 1,000, as ours with ``--anchors 1000``.
Each finished run is appended to the JSON file, so that a run can go on where it stopped.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from hashers import FSDH, HBMP, SDH, TSH, FeatureAwareHash, KernelFunction, datasets, metrics

MARKS = {
    "digits": (0.9941, 0.9950, 0.9950),
    "fashion-mnist": (0.755, 0.765, 0.770),
    "cifar10-gist": (0.365, 0.389, 0.402),
    "cifar10-deep": (0.626, 0.643, 0.655),
    "newsgroups": (0.509, 0.558, 0.581),
    "tmc2007": (0.662, 0.680, 0.691),
    "corel5k": (0.504, 0.532, 0.563),
    "scene": (0.767, 0.777, 0.784),
}
BITS = (16, 32, 64)
OTHERS = ("wine", "breast-cancer", "blobs", "overlapping", "label-sets")
PEERS = {"feature-aware": FeatureAwareHash, "tsh": TSH, "sdh": SDH, "hbmp": HBMP, "fsdh": FSDH}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--bits", nargs="+", type=int, default=list(BITS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--anchors", type=int, default=2000, help="of the kernel function, for every method")
    parser.add_argument("--table", action="store_true", help="only print the tables of what the file holds")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/feature_aware.json"))
    arguments = parser.parse_args()
    rows = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    if not arguments.table:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        for name in arguments.datasets or (OTHERS if arguments.others else MARKS):
            run_dataset(name, rows, arguments)
    print_marks([row for row in rows if row["dataset"] in MARKS])
    print_others([row for row in rows if row["dataset"] in OTHERS])


def run_dataset(name, rows, arguments):
    done = {(row["dataset"], row["method"], row["n_bits"], row["seed"]) for row in rows}
    parts = None
    for seed in range(arguments.seeds):
        if name in OTHERS or parts is None:
            parts = other(name, seed) if name in OTHERS else shared(name)
        for n_bits in arguments.bits:
            for method in PEERS if name in OTHERS else ["feature-aware"]:
                if (name, method, n_bits, seed) in done:
                    continue
                row = dict(
                    dataset=name,
                    method=method,
                    n_bits=n_bits,
                    seed=seed,
                    **measure(parts, method, n_bits, seed, arguments.anchors),
                )
                rows.append(row)
                print(row, flush=True)
                partial = arguments.json.with_suffix(".tmp")
                partial.write_text(json.dumps(rows, indent=0))
                os.replace(partial, arguments.json)


def measure(parts, method, n_bits, seed, n_anchors):
    (X, y), (X_query, y_query), (X_database, y_database) = parts
    began = time.process_time()
    function = KernelFunction(n_anchors=n_anchors)
    hasher = PEERS[method](n_bits=n_bits, function=function, random_state=seed).fit(X, y)
    seconds = time.process_time() - began
    B_query, B_database = hasher.transform(X_query), hasher.transform(X_database)
    score = metrics.mean_average_precision(B_query, B_database, y_query, y_database)
    chosen = [row for row in getattr(hasher, "selection_", []) if row["chosen"]]
    choice = {key: chosen[0][key] for key in ("start", "rate", "share")} if chosen else {}
    return {"map": score, "cpu_seconds": seconds, **choice}


def shared(name):
    data = datasets.load(name)
    return [data.part(part) for part in ("train", "query", "database")]


def other(name, seed):
    """A bundled or made set: a split of its own for each seed; database = training rows and, if any, new ones."""
    from sklearn import datasets as sets
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    if name in ("wine", "breast-cancer"):
        X, y = (sets.load_wine if name == "wine" else sets.load_breast_cancer)(return_X_y=True)
        X, n_query, n_train = StandardScaler().fit_transform(X), len(y) // 4, len(y) // 2
    elif name == "blobs":
        X, y = sets.make_blobs(6000, n_features=30, centers=25, cluster_std=4.5, random_state=seed)
        n_query, n_train = 600, 2500
    elif name == "overlapping":
        X, y = sets.make_classification(
            6000,
            n_features=40,
            n_informative=15,
            n_classes=12,
            n_clusters_per_class=2,
            class_sep=1.5,
            random_state=seed,
        )
        n_query, n_train = 600, 2500
    else:
        X, y = sets.make_multilabel_classification(4000, n_features=60, n_classes=15, n_labels=2, random_state=seed)[:2]
        n_query, n_train = 500, 2000
    order = rng.permutation(len(y))
    query, database = order[:n_query], order[n_query:]
    train = database[:n_train]
    return [(X[rows].astype(np.float32), y[rows]) for rows in (train, query, database)]


def print_marks(rows):
    if not rows:
        return
    print("\ndataset        bits   reference   ours (interval, seeds)     at or above   CPU s   chosen")
    for name, marks in MARKS.items():
        for n_bits, mark in zip(BITS, marks):
            cell = [row for row in rows if row["dataset"] == name and row["n_bits"] == n_bits]
            if not cell:
                continue
            scores = np.array([row["map"] for row in cell])
            interval = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else float("nan")
            seconds = np.median([row["cpu_seconds"] for row in cell])
            chosen = ", ".join(sorted({f"{row['start']} {row['rate']:g}/{row['share']:g}" for row in cell}))
            verdict = "yes" if scores.mean() >= mark else f"{scores.mean() - mark:+.4f}"
            print(
                f"{name:<14} {n_bits:>4}   {mark:.4f}      {scores.mean():.4f} +- {interval:.4f} ({len(scores)})"
                f"       {verdict:<8}    {seconds:5.1f}   {chosen}"
            )


def print_others(rows):
    if not rows:
        return
    print(
        "\ndataset        bits   " + "   ".join(f"{method:<15}" for method in PEERS) + "  mean, interval of ours - best"
    )
    for name in OTHERS:
        for n_bits in BITS:
            cell = {method: {} for method in PEERS}
            for row in rows:
                if row["dataset"] == name and row["n_bits"] == n_bits:
                    cell[row["method"]][row["seed"]] = row["map"]
            seeds = set.intersection(*(set(scores) for scores in cell.values()))
            if len(seeds) < 2:
                continue
            table = {method: np.array([scores[seed] for seed in sorted(seeds)]) for method, scores in cell.items()}
            ours = table["feature-aware"]
            best = max((scores for method, scores in table.items() if method != "feature-aware"), key=np.mean)
            difference = ours - best
            interval = 1.96 * difference.std(ddof=1) / np.sqrt(len(seeds))
            print(
                f"{name:<14} {n_bits:>4}   "
                + "   ".join(f"{scores.mean():.4f} ({len(seeds)})     " for scores in table.values())
                + f"  {difference.mean():+.4f} +- {interval:.4f}"
            )


if __name__ == "__main__":
    main()
