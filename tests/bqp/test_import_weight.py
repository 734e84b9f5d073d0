"""What `import bqp` loads, in a fresh process."""

import json
import subprocess
import sys

import pytest

HEAVY = (
    "numba", "cvxpy", "networkx", "sklearn", "matplotlib", "typer", "rich", "dimod", "hypothesis", "pandas", "torch",
    "faiss", "lightgbm", "skops", "pytest", "IPython",
)  # fmt: skip
ALLOWED = {"bqp", "cython_runtime", "numpy", "scipy", "threadpoolctl"}
ALLOWED |= {"charset_normalizer"}  # numpy.f2py loads it where it is installed


def loaded_by(code: str) -> list[str]:
    """Modules that running `code` adds to a bare interpreter."""
    program = (
        f"import sys, json; bare = set(sys.modules); exec({code!r}); "
        "sys.stdout.write(json.dumps(sorted(set(sys.modules) - bare)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_bqp_is_light():
    names = loaded_by("import bqp")
    top = {name.split(".")[0] for name in names}
    third_party = {name for name in top if not name.startswith("_") and name not in sys.stdlib_module_names}
    assert "bqp" in top
    assert not top & set(HEAVY), f"import bqp loads {sorted(top & set(HEAVY))}"
    assert third_party <= ALLOWED, f"import bqp loads {sorted(third_party)}, allowed are {sorted(ALLOWED)}"
    assert not {name for name in names if name.startswith("bqp.kernels.")}, "a kernel is imported before it is needed"


@pytest.mark.parametrize("module", ["bqp.codes", "bqp.losses", "bqp.supervision", "bqp.testing", "bqp.io"])
def test_submodules_are_light(module):
    top = {name.split(".")[0] for name in loaded_by(f"import {module}")}
    assert not top & (set(HEAVY) - {"numba"}), f"import {module} loads {sorted(top & set(HEAVY))}"


def test_numba_comes_with_the_first_kernel():
    names = loaded_by(
        "import bqp, numpy as np; bqp.solve(bqp.BQP(np.ones((40, 40))), solver='tabu_search', max_moves=10, rng=0)"
    )
    top = {name.split(".")[0] for name in names}
    assert "numba" in top
    assert not top & (set(HEAVY) - {"numba"})
