import numpy as np
import pytest

from embedder.arrays import row_lengths
from embedder.vectors.search import nearest, over_blocks


def naive_nearest(query, matrix, count, excluded):
    lengths = np.linalg.norm(matrix, axis=1)
    scores = matrix @ query / np.where(lengths > 0, lengths, 1) / np.linalg.norm(query)
    order = [i for i in np.argsort(-scores, kind="stable") if i not in excluded]
    return order[:count], scores


@pytest.mark.parametrize("rows", [1, 7, 15, 16, 17, 200, 2000])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_the_nearest_rows_are_found_in_any_number_of_blocks_and_rounds(
    rng, monkeypatch, rows, count
):
    monkeypatch.setattr("embedder.vectors.search._ROWS_PER_BLOCK", 16)
    monkeypatch.setattr("embedder.vectors.search._BLOCKS_FIRST", 2)
    monkeypatch.setattr("embedder.vectors.search._QUERIES_PER_BATCH", 3)
    matrix = rng.normal(size=(rows, 5)).astype(np.float32)
    queries = rng.normal(size=(8, 5)).astype(np.float32)
    excluded = [set(rng.integers(0, rows, 2).tolist()) for _ in queries]
    found = nearest(queries, matrix, row_lengths(matrix), count, excluded)
    for i, query in enumerate(queries):
        expected, scores = naive_nearest(query.astype(float), matrix, count, excluded[i])
        known = found.ids[i] >= 0
        assert found.ids[i][known].tolist() == expected
        assert (found.scores[i][~known] == -np.inf).all()
        np.testing.assert_allclose(found.scores[i][known], scores[expected], atol=1e-5)


def test_rows_of_increasing_similarity_are_found(monkeypatch):
    monkeypatch.setattr("embedder.vectors.search._ROWS_PER_BLOCK", 16)
    angles = np.linspace(3, 0.01, 1000)
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    query = np.array([[1, 0]], np.float32)
    found = nearest(query, matrix, row_lengths(matrix), 3, [set()])
    assert found.ids.tolist() == [[999, 998, 997]]


def test_errors_in_threads_are_raised(monkeypatch):
    monkeypatch.setattr("embedder.vectors.search._ROWS_PER_BLOCK", 2)

    def fail(start, block):
        raise ArithmeticError(f"at {start}")

    with pytest.raises(ArithmeticError, match="at 0"):
        over_blocks(np.ones((9, 2), np.float32), np.ones(9, np.float32), fail)
