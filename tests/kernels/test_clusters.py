import naive
import numpy as np
import pytest

from embedder.kernels.clusters import nearest_centroids
from embedder.kernels.threads import kernel_threads


def find(vectors, centroids, threads=2):
    nearest, similarities = np.full(len(vectors), -9), np.full(len(vectors), np.nan, np.float32)
    with kernel_threads(threads):
        nearest_centroids(vectors, centroids, nearest, similarities)
    return nearest, similarities


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("classes", [1, 2, 511, 512, 513])
@pytest.mark.parametrize("n", [1, 255, 256, 257, 600])
def test_the_nearest_centroid_agrees_with_plain_loops(rng, n, classes, threads):
    # Whole numbers, so that products are exact and equal ones occur.
    vectors = rng.integers(-3, 4, (n, 5)).astype(np.float32)
    centroids = rng.integers(-3, 4, (classes, 5)).astype(np.float32)
    nearest, similarities = find(vectors, centroids, threads)
    expected = naive.nearest_centroids(vectors, centroids)
    assert nearest.tolist() == expected[0]
    assert similarities.tolist() == expected[1]


def test_there_may_be_no_vectors(rng):
    nearest, similarities = find(np.empty((0, 3), np.float32), np.ones((2, 3), np.float32))
    assert len(nearest) == len(similarities) == 0


def test_the_number_of_threads_changes_no_bit(rng):
    vectors = rng.normal(size=(900, 16)).astype(np.float32)
    centroids = rng.normal(size=(70, 16)).astype(np.float32)
    runs = [find(vectors, centroids, threads) for threads in (1, 2, 7)]
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
