"""Deep hashing on Fashion-MNIST: MAP of hashed and learned database codes, CPU and wall seconds of training.

Run ``python -m benchmarks.deep`` (all methods, one seed: about 25 minutes on one core), or name some methods. Split of
the shared files: 1,000 queries; the database is all other rows (``--database N``: N of them, drawn once); 5,000
labelled training rows of the database (``--train all``: every row of it). Queries are hashed; "hashed": the database is
as well; "learned": training rows with their learned codes, which have seen labels, searched among themselves. Relevant
= same class, expected ties, a query without relevant items counts 0. The net is that of ``NetFunction(image_shape=(28,
28))``, or with ``--net mlp`` that of ``NetFunction()``.
"""

import argparse
import time

import numpy as np

METHODS = {
    "cnnh": lambda deep, f, q, s: deep.CNNH(q, f, random_state=s),
    "cnnh-published": lambda deep, f, q, s: deep.CNNH(q, f, mode="published", random_state=s),
    "ftdsh": lambda deep, f, q, s: deep.FTDSH(q, f, random_state=s),
    "ftdsh-published": lambda deep, f, q, s: deep.FTDSH(q, f, mode="published", random_state=s),
    "dsdh": lambda deep, f, q, s: deep.DSDH(q, f, random_state=s),
    "dsdh-published": lambda deep, f, q, s: deep.DSDH(
        q, f, mode="published", n_rounds=f.n_epochs(5000), random_state=s
    ),
    "ddsh": lambda deep, f, q, s: deep.DDSH(q, f, random_state=s),
    "ddsh-published": lambda deep, f, q, s: deep.DDSH(
        q, f, mode="published", n_rounds=max(1, f.n_epochs(5000) // 3), random_state=s
    ),
    "adsh": lambda deep, f, q, s: deep.ADSH(q, f, random_state=s),
    "adsh-published": lambda deep, f, q, s: deep.ADSH(
        q, f, mode="published", n_rounds=max(1, f.n_epochs(5000) * 5 // 6), random_state=s
    ),
}
LOSSES = ("dpsh", "dhn", "dsh", "hashnet", "greedyhash", "dch", "mmhh", "triplet", "mihash", "talr", "dmdh")


def make(name, function, n_bits, seed):
    """The unfitted hasher of a row; published alternations get as many passes over the rows as the others."""
    from hashers import deep

    if name in METHODS:
        return METHODS[name](deep, function, n_bits, seed)
    return deep.DeepHash(n_bits, loss=name, function=function, random_state=seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=None, help=", ".join([*METHODS, *LOSSES]))
    parser.add_argument("--bits", nargs="+", type=int, default=[32])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--epochs", type=int, default=None, help="passes over the training rows; default of NetFunction"
    )
    parser.add_argument("--train", default="5000", choices=["5000", "all"])
    parser.add_argument("--database", type=int, default=None, help="rows of the database that are searched")
    parser.add_argument("--net", default="conv", choices=["conv", "mlp"], help="mlp is some ten times faster")
    parser.add_argument("--flip", action="store_true", help="mirror images in training as well")
    arguments = parser.parse_args()
    import torch

    from hashers import datasets, metrics
    from hashers.functions import NetFunction

    torch.set_num_threads(1)
    data = datasets.load("fashion-mnist")
    X_query, y_query = data.part("query")
    X_database, y_database = data.part("database")
    X, y = (X_database, y_database) if arguments.train == "all" else data.part("train")
    if arguments.database is not None:
        chosen = np.random.default_rng(0).permutation(len(y_database))[: arguments.database]
        X_database, y_database = X_database[chosen], y_database[chosen]
    print(f"{len(y):,} training rows, {len(y_database):,} rows searched, medians of {arguments.seeds} seed(s)")
    print("| method | bits | MAP hashed | MAP learned | epochs | CPU s | wall s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.methods or [*METHODS, *LOSSES]:
        for n_bits in arguments.bits:
            rows = []
            for seed in range(arguments.seeds):
                function = NetFunction(epochs=arguments.epochs)
                if arguments.net == "conv":
                    augment = ("flip", "shift") if arguments.flip else "auto"
                    function.set_params(image_shape=(28, 28), augment=augment)
                clocks = time.process_time(), time.perf_counter()
                hasher = make(name, function, n_bits, seed).fit(X, y)
                spent = time.process_time() - clocks[0], time.perf_counter() - clocks[1]
                B_query = hasher.transform(X_query)
                hashed = metrics.mean_average_precision(B_query, hasher.transform(X_database), y_query, y_database)
                learned = metrics.mean_average_precision(B_query, hasher.codes_, y_query, y)
                epochs = len(getattr(hasher.function_, "history_", ()))
                rows.append((hashed, learned, epochs, *spent))
            hashed, learned, epochs, cpu, wall = np.median(rows, axis=0)
            print(
                f"| {name} | {n_bits} | {hashed:.4f} | {learned:.4f} | {epochs:.0f} | {cpu:.0f} | {wall:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
