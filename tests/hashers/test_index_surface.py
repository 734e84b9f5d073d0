"""Every index answers to the same calls, or says why not."""

import numpy as np
import pytest

import hashers
from hashers.index import build_index

CODES = np.where(np.random.RandomState(0).rand(40, 16) < 0.5, -1, 1).astype(np.int8)


@pytest.mark.parametrize("kind", ["exact", "faiss-flat", "faiss-hnsw", "usearch"])
def test_calls(kind):
    pytest.importorskip("faiss", reason="needs the extra index")
    pytest.importorskip("usearch", reason="needs the extra index")
    index = build_index(CODES, kind)
    assert index.search(CODES[:2], k=3).ids.shape == (2, 3)
    if kind != "exact":
        with pytest.raises(ValueError, match="no real-valued queries"):
            index.search(CODES[:2].astype(float), k=3, asymmetric=True)
    if kind in ("faiss-hnsw", "usearch"):
        with pytest.raises(ValueError, match="no search by radius"):
            index.within(CODES[:2], 2)


def test_top_level_names():
    for name in hashers.__all__:
        assert getattr(hashers, name) is not None
