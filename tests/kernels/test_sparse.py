import naive
import numpy as np
import pytest

from embedder.arrays import offsets_from_lengths
from embedder.kernels.sparse import sparse_times_dense
from embedder.kernels.threads import kernel_threads


def compressed(dense):
    rows, columns = np.nonzero(dense)
    offsets = offsets_from_lengths(np.bincount(rows, minlength=len(dense)))
    return offsets, columns.astype(np.int32), dense[rows, columns]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("k", [1, 15, 16, 17])
@pytest.mark.parametrize("V", [1, 63, 65, 200])
def test_products_agree_with_a_plain_loop(rng, V, k, threads):
    dense = rng.normal(size=(V, V)) * (rng.random((V, V)) < 0.4)
    dense[V // 2] = 0  # an empty row
    x = rng.normal(size=(V, k))
    out = np.full((V, k), np.nan)
    with kernel_threads(threads):
        sparse_times_dense(*compressed(dense), x, out)
    np.testing.assert_allclose(
        out, naive.sparse_times_dense(*compressed(dense), x), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(out, dense @ x, rtol=1e-10, atol=1e-12)


def test_an_empty_matrix_has_an_empty_product():
    out = np.empty((0, 3))
    sparse_times_dense(*compressed(np.empty((0, 0))), np.empty((0, 3)), out)
    out = np.full((2, 3), np.nan)
    sparse_times_dense(*compressed(np.zeros((2, 2))), np.ones((2, 3)), out)
    assert (out == 0).all()


def test_results_have_the_same_bits_for_any_number_of_threads(rng):
    dense, x = (
        rng.normal(size=(200, 200)) * (rng.random((200, 200)) < 0.3),
        rng.normal(size=(200, 17)),
    )
    runs = []
    for threads in (1, 2, 7):
        runs.append(np.empty_like(x))
        with kernel_threads(threads):
            sparse_times_dense(*compressed(dense), x, runs[-1])
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
