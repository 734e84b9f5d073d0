"""One HTML page of the rows that `benchmarks.runner` made: tables, figures, what they cannot say.

Metrics are computed here and not stored: gap in percent of the best value known (or found by anyone), share of runs
that reach it, shifted geometric mean of the seconds to it (shift 0.1 s; a miss counts ten times its limit).
"""

from __future__ import annotations

import html
import io
from pathlib import Path

import numpy as np

from benchmarks import scaling
from benchmarks.rows import Rows, environment, interval

SHIFT, PENALTY = 0.1, 10.0
HIT = 1e-6  # relative to the best
TITLES = {
    "a": "BQP solvers", "b": "Maximum flow", "c": "Semidefinite bounds", "d": "Code learners", "e": "Hashing",
    "f": "Evaluation and search", "g": "Growth with n, q and C",
}  # fmt: skip
LIMITATIONS = [
    "Short runs: two seeds and limits of a tenth and half a second in part (a), two seeds in (e), one in (g). "
    "Differences that such runs show are hints; the command under each part makes the full ones.",
    "One machine, its processor named above, often shared: wall times include what others did, CPU times suffer less "
    "but do suffer (shared caches and memory). Limits are on the wall clock.",
    "Peers run with the settings in their rows, defaults where nothing is said. Nobody tuned them, or ours, for these "
    "problems; some overrun their limit (annealers end a call that has begun).",
    "Where no best value is known, gaps are against the best that any solver here found, so they understate.",
    "Targets: ours stop at the best known value when it is known, and so do peers that can; others use their limit.",
    "MAP on digits is nearly saturated, so part (e) in short form says little about which method is better.",
    "Left out because they were not installed are the peers that the versions above do not name.",
]
STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .88rem } th, td { padding: .25rem .6rem;
text-align: right; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums } th:first-child,
td:first-child { text-align: left } pre { background: var(--soft); padding: .7rem; overflow-x: auto; font-size: .78rem }
figure { margin: 1rem 0; background: #fff; padding: .4rem; display: inline-block; max-width: 100% }
svg { max-width: 100%; height: auto } summary { cursor: pointer } .note { opacity: .8; font-size: .9rem }
"""


def shifted_geometric_mean(seconds, shift: float = SHIFT) -> float:
    """exp(mean(log(s + shift))) - shift.

    Examples
    --------
    >>> round(shifted_geometric_mean([0.0, 0.9]), 4)
    0.2162
    """
    seconds = np.asarray(list(seconds), dtype=np.float64)
    return float(np.exp(np.mean(np.log(seconds + shift))) - shift)


def with_gaps(rows: Rows) -> list[dict]:
    """The rows of part (a) that have an energy, each with its gap in percent and the seconds that count."""
    least: dict[str, float] = {}
    for row in rows:
        values = [v for v in (row["energy"], row["best"]) if v is not None]
        if values:
            least[row["problem"]] = min([*values, least.get(row["problem"], np.inf)])
    found = []
    for row in rows:
        if row["energy"] is None:
            continue
        best = least[row["problem"]]
        gap = 100.0 * (row["energy"] - best) / max(1.0, abs(best))
        hit = gap <= 100.0 * HIT
        found.append(
            {**row, "gap": max(gap, 0.0), "hit": hit, "seconds": row["wall"] if hit else PENALTY * row["limit"]}
        )
    return found


def solver_lines(rows: list[dict]) -> list[list[str]]:
    """A line for each family and solver, at the longest limit that it had."""
    lines = []
    for family in sorted({row["family"] for row in rows}):
        part = [row for row in rows if row["family"] == family]
        shown = []
        for solver in sorted({row["solver"] for row in part}):
            mine = [row for row in part if row["solver"] == solver]
            limit = max(row["limit"] for row in mine)
            mine = [row for row in mine if row["limit"] == limit]
            gaps = [row["gap"] for row in mine]
            mean = shifted_geometric_mean(row["seconds"] for row in mine)
            text = [
                f"{limit:g}",
                str(len({row["problem"] for row in mine})),
                f"{np.mean(gaps):.4f}",
                f"{max(gaps):.3f}",
            ]
            text += [f"{100 * np.mean([row['hit'] for row in mine]):.0f}", f"{mean:.3f}"]
            shown.append((mean, [family, solver, *text]))
        lines += [line for _, line in sorted(shown, key=lambda pair: pair[0])]
    return lines


def bound_lines(rows: Rows) -> list[list[str]]:
    """Bounds in percent below the best value, a line a problem and solver: at its longest limit, medians over seeds."""
    groups: dict = {}
    for row in rows:
        if row["bound"] is not None and row["best"] is not None:
            groups.setdefault((row["problem"], row["solver"], row["n"]), []).append(row)
    lines = []
    for (problem, solver, n), mine in sorted(groups.items()):
        longest = max(row["limit"] for row in mine)
        mine = [row for row in mine if row["limit"] == longest]
        gap = np.median([100.0 * max(row["best"] - row["bound"], 0.0) / max(1.0, abs(row["best"])) for row in mine])
        cpu = np.median([row["cpu"] for row in mine])
        lines.append([problem, solver, f"{n}", f"{longest:g}", f"{gap:.3f}", f"{cpu:.2f}"])
    return lines


def gap_figure(rows: list[dict]) -> str:
    """Mean gap over the limit, one line a solver."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    families = sorted({row["family"] for row in rows})
    fig, axes = plt.subplots(1, len(families), figsize=(max(7.0, 3.6 * len(families)), 3.6), sharey=True, squeeze=False)
    solvers = sorted({row["solver"] for row in rows} - {"exact", "highs", "cpsat", "scip"})
    for axis, family in zip(axes[0], families):
        for k, solver in enumerate(solvers):
            mine = [row for row in rows if row["family"] == family and row["solver"] == solver]
            limits = sorted({row["limit"] for row in mine})
            gaps = [np.mean([row["gap"] for row in mine if row["limit"] == limit]) for limit in limits]
            axis.plot(limits, np.maximum(gaps, 1e-4), "osD^vPX*"[k % 8] + "-", label=solver, alpha=0.8, ms=5)
        axis.set(title=family, xscale="log", yscale="log", xlabel="limit, seconds")
        ticks = sorted({row["limit"] for row in rows if row["family"] == family and row["solver"] in solvers})
        axis.set_xticks(ticks, [f"{limit:g}" for limit in ticks])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("mean gap, percent (1e-4: none)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    fig.set_layout_engine("constrained")
    return _svg(fig, plt)


def scaling_figure(rows: Rows) -> str:
    """CPU seconds over n, q and C."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
    for axis, varied in zip(axes, scaling.BASE):
        for k, method in enumerate(scaling.METHODS):
            mine = rows.where(method=method, varied=varied)
            values = sorted({row[varied] for row in mine})
            medians = [np.median([row["cpu"] for row in mine if row[varied] == value]) for value in values]
            axis.plot(values, medians, "os"[k] + "-", label=method)
        axis.set(xscale="log", yscale="log", xlabel=varied)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU seconds")
    axes[0].legend(frameon=False)
    fig.set_layout_engine("constrained")
    return _svg(fig, plt)


def _svg(fig, plt) -> str:
    text = io.StringIO()
    fig.savefig(text, format="svg", metadata={"Date": None})
    plt.close(fig)
    return "<figure>" + text.getvalue()[text.getvalue().index("<svg") :] + "</figure>"


def _table(head, lines) -> str:
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)  # noqa: E731
    body = "".join(f"<tr>{cells('td', line)}</tr>" for line in lines)
    return f'<div class="wide"><table><tr>{cells("th", head)}</tr>{body}</table></div>'


def hashing_lines(rows: Rows) -> list[list[str]]:
    """MAP and seconds, means over seeds with 95 % intervals."""
    lines = []
    keys = dict.fromkeys((r["dataset"], r["method"], r["function"], r["n_bits"]) for r in rows)
    for key in keys:
        mine = rows.where(**dict(zip(("dataset", "method", "function", "n_bits"), key)))
        mean, half = interval([row["map"] for row in mine])
        times = [np.median([row.get(name) or 0.0 for row in mine]) for name in ("seconds_codes", "seconds_function")]
        show = f"{mean:.4f}" + (f" ± {half:.4f}" if np.isfinite(half) else "")
        learned = [row["map_learned"] for row in mine if row.get("map_learned") is not None]
        lines.append(
            [*key, show, f"{np.mean(learned):.4f}" if learned else "", *(f"{t:.2f}" for t in times), len(mine)]
        )
    return lines


def write_report(path: Path, solvers: Rows, hashing: Rows, sizes: Rows, printed: Rows) -> Path:
    """Write the page; parts without rows are left out."""
    from benchmarks.runner import SCRIPTS

    here = environment()
    versions = {name: text for rows in (solvers, hashing) for row in rows for name, text in row["versions"].items()}
    parts = ["<h1>Benchmarks</h1>", f'<p class="note">{html.escape(here["processor"])}, commit {here["commit"]}. ']
    shown = ", ".join(f"{name} {text}" for name, text in sorted((here["versions"] | versions).items()))
    parts.append(f"{html.escape(shown)}. Raw rows: the .jsonl files beside this page.</p>")
    for part, title in TITLES.items():
        content = []
        if part == "a" and len(solvers):
            rows = with_gaps(solvers)
            head = ["family", "solver", "limit s", "problems", "mean gap %", "worst %", "reached %", "seconds to it"]
            content += [gap_figure(rows), _table(head, solver_lines(rows))]
            bounds = bound_lines(solvers)
            if bounds:
                head = ["problem", "solver", "n", "limit s", "bound below best, %", "CPU s"]
                content += ["<h3>Bounds and proofs</h3>", _table(head, bounds)]
        if part == "e" and len(hashing):
            head = [
                "data",
                "method",
                "function",
                "bits",
                "MAP, hashed",
                "MAP, learned",
                "codes s",
                "function s",
                "seeds",
            ]
            content.append(_table(head, hashing_lines(hashing)))
        if part == "g" and len(sizes):
            content += [scaling_figure(sizes), _table(scaling.HEAD, scaling.lines(sizes))]
        for row in printed.where(part=part):
            state = "" if row["code"] == 0 else f" <b>(failed: {row['code']})</b>"
            text = html.escape(row["output"].strip())
            content.append(
                f"<details{' open' if part in 'bcdf' else ''}><summary><code>{html.escape(row['command'])}</code>, "
                f"{row['wall']:.0f} s{state}</summary><pre>{text}</pre></details>"
            )
        if content:
            full = " ".join(f"<code>python -m {' '.join(command)}</code>" for _, command in SCRIPTS[part])
            parts += [f'<h2 id="{part}">({part}) {title}</h2>', *content]
            parts.append(f'<p class="note">In full: <code>python -m benchmarks --parts {part} --full</code> {full}</p>')
    items = "".join(f"<li>{html.escape(text)}</li>" for text in LIMITATIONS)
    parts.append(f'<h2 id="limitations">Limitations</h2><ul>{items}</ul>')
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Benchmarks</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        + "\n".join(parts)
        + "</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)
    return path
