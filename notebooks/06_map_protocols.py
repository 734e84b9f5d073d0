# %% [markdown]
# # One model, many MAPs
#
# **Question.** Published tables give one number, MAP. How much of it is the method, and how much the protocol: how
# ties are broken, whether the database keeps codes that were learned from its labels, and which rows are the database?

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from style import COLORS, interval, markdown

from hashers import COSDISH, ITQ, TSH, KernelFunction, metrics

SEEDS = range(5)
METHODS = {
    "TSH": lambda q, seed: TSH(n_bits=q, function=KernelFunction(n_anchors=300), random_state=seed),
    "COSDISH": lambda q, seed: COSDISH(n_bits=q, function=KernelFunction(n_anchors=300), random_state=seed),
    "ITQ": lambda q, seed: ITQ(n_bits=q, random_state=seed),
}


def data(seed):
    """Ten classes that overlap, 40 features: a classifier gets some four of five right."""
    X, y = make_classification(
        3000,
        40,
        n_informative=12,
        n_redundant=8,
        n_classes=10,
        n_clusters_per_class=1,
        class_sep=1.1,
        random_state=seed,
    )
    return (X[:800], y[:800]), (X[800:2600], y[800:2600]), (X[2600:], y[2600:])


# %% [markdown]
# The same fitted model each time; only what is asked of it changes. `expected` averages over the orders of a tie,
# `sorted` is what a stable sort gives when the file is sorted by class (as many are), optimistic and pessimistic are
# the limits.

# %%
scores = {}


def note(method, q, protocol, *arguments, **options):
    scores.setdefault((method, q, protocol), []).append(metrics.mean_average_precision(*arguments, **options))


for seed in SEEDS:
    (X, y), (X_unseen, y_unseen), (X_query, y_query) = data(seed)
    order = np.argsort(y_unseen, kind="stable")
    for name, make in METHODS.items():
        for q in (8, 32):
            hasher = make(q, seed).fit(X, y)
            query, unseen, hashed = hasher.transform(X_query), hasher.transform(X_unseen), hasher.transform(X)
            note(name, q, "unseen rows, expected ties", query, unseen, y_query, y_unseen)
            note(name, q, "unseen, sorted by class", query, unseen[order], y_query, y_unseen[order], ties="stable")
            for ties in ("optimistic", "pessimistic"):
                note(name, q, f"unseen, {ties} ties", query, unseen, y_query, y_unseen, ties=ties)
            note(name, q, "unseen, MAP@100", query, unseen, y_query, y_unseen, k=100)
            note(name, q, "training rows, hashed", query, hashed, y_query, y)
            if name != "ITQ":
                note(name, q, "training rows, learned codes", query, hasher.codes_, y_query, y)
PROTOCOLS = list(dict.fromkeys(protocol for _, _, protocol in scores))
cell = lambda key: "{:.3f} ± {:.3f}".format(*interval(scores[key])) if key in scores else ""  # noqa: E731
columns = [(name, q) for name in METHODS for q in (8, 32)]
markdown(
    ["MAP", *(f"{name}, {q} bits" for name, q in columns)],
    [[protocol, *(cell((*column, protocol)) for column in columns)] for protocol in PROTOCOLS],
)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for axis, q in zip(axes, (8, 32)):
    for k, name in enumerate(METHODS):
        shown = [(i, *interval(scores[name, q, p])) for i, p in enumerate(PROTOCOLS) if (name, q, p) in scores]
        place, mean, half = np.array(shown).T
        axis.errorbar(mean, place + 0.18 * (k - 1), xerr=half, fmt="os^"[k], color=COLORS[k], capsize=2, label=name)
    axis.set(title=f"{q} bits", xlabel="MAP", xlim=(0, 1))
axes[0].set_yticks(range(len(PROTOCOLS)), PROTOCOLS)
axes[0].invert_yaxis()
axes[0].legend(loc="lower right", frameon=True)
plt.show()

# %%
mean = {key: np.mean(values) for key, values in scores.items()}
honest, learned = "unseen rows, expected ties", "training rows, learned codes"
protocol_effect = [a - b for a, b in zip(scores["TSH", 32, learned], scores["TSH", 32, honest])]
method_effect = [a - b for a, b in zip(scores["TSH", 32, honest], scores["COSDISH", 32, honest])]
for text, values in (("learned less unseen, TSH", protocol_effect), ("TSH less COSDISH, unseen", method_effect)):
    print("{}: {:+.3f} ± {:.3f}".format(text, *interval(values)))
assert min(protocol_effect) > 0.05 and np.mean(protocol_effect) > 3 * abs(np.mean(method_effect))
width = {q: mean["TSH", q, "unseen, optimistic ties"] - mean["TSH", q, "unseen, pessimistic ties"] for q in (8, 32)}
assert width[8] > 0.02
for key, values in scores.items():
    if key[2] == honest:
        low, high = (scores[(*key[:2], f"unseen, {ties} ties")] for ties in ("pessimistic", "optimistic"))
        assert all(a <= b <= c for a, b, c in zip(low, values, high))

# %% [markdown]
# **Answer.** Keeping learned codes in the database adds more MAP than the choice between two good methods, several
# times over: the learned codes have seen the labels of the rows that are ranked. Training rows in the database, even
# hashed, add a part of that. Ties move short codes by the width between the optimistic and the pessimistic line, and
# MAP@100 is another quantity altogether. Numbers under two protocols cannot be compared; a number without one says
# nothing. Intervals are 95 % over five draws of data and seeds, differences paired. What to state beside a number:
# [how retrieval is measured](../docs/evaluation.md).
