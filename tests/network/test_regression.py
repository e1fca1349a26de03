import numpy as np
import pytest
from scipy.sparse import csr_array

from embedder.kernels.threads import kernel_threads
from embedder.network.regression import multiply, ridge_regression


@pytest.fixture
def problem(rng):
    dense = rng.normal(size=(200, 30)) * (rng.random((200, 30)) < 0.2)
    A = csr_array(dense.astype(np.float32))
    X = rng.normal(size=(200, 7)).astype(np.float32)
    return A, X, rng.random(200).astype(np.float32)


def test_the_solution_is_that_of_the_normal_equations(problem):
    A, X, weights = problem
    dense = A.toarray().astype(np.float64)
    gram = (dense.T * weights) @ dense + 0.3 * np.eye(30)
    expected = np.linalg.solve(gram, (dense.T * weights) @ X)
    found = ridge_regression(A, X, weights, 0.3, 60)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_rows_of_weight_zero_do_not_count(problem):
    A, X, weights = problem
    weights[150:] = 0
    whole = ridge_regression(A, X, weights, 0.3, 60)
    part = ridge_regression(csr_array(A[:150]), X[:150], weights[:150], 0.3, 60)
    np.testing.assert_allclose(whole, part, atol=1e-4)


def test_a_column_without_an_entry_stays_zero(problem):
    A, X, weights = problem
    dense = A.toarray()
    dense[:, 3] = 0
    found = ridge_regression(csr_array(dense), X, weights, 0.3, 20)
    assert not found[3].any()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_the_solution_has_the_same_bits_on_any_number_of_threads(problem, threads):
    alone = ridge_regression(*problem, 0.3, 10)
    with kernel_threads(threads):
        shared = ridge_regression(*problem, 0.3, 10)
    np.testing.assert_array_equal(alone, shared)


def test_a_product_is_that_of_the_dense_matrices(problem):
    A, X, _ = problem
    np.testing.assert_allclose(multiply(csr_array(A.T), X), A.toarray().T @ X, atol=1e-4)
