import naive
import numpy as np
import pytest

from embedder.kernels.optimizer import ADAGRAD, ADAM, SGD, Moments, Rule, step, step_rows

KINDS = {"sgd": SGD, "adagrad": ADAGRAD, "adam": ADAM}
DECAYS = (0.5, 0.9)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
def test_flat_steps_agree_with_numpy(rng, name, n):
    p, m, s = rng.normal(size=n), np.zeros(n), np.zeros(n)
    found, first, second = p.copy(), m.copy(), s.copy()
    for t in range(1, 4):
        g = rng.normal(size=n)
        p, m, s = naive.optimizer_step(name, p, g, m, s, t, 0.1, DECAYS, 1e-8)
        correction = np.sqrt(1 - DECAYS[1] ** t) / (1 - DECAYS[0] ** t) if name == "adam" else 1
        step(found, g, first, second, Rule(KINDS[name], 0.1 * correction, *DECAYS, 1e-8))
    np.testing.assert_allclose(found, p, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", KINDS)
def test_every_row_corrects_by_its_own_number_of_steps(rng, name):
    V, D = 9, 5
    table, first, second = rng.normal(size=(V, D)), np.zeros((V, D)), np.zeros((V, D))
    visits = np.zeros(V, np.int32)
    p, m, s = table.copy(), first.copy(), second.copy()
    times = np.zeros(V, int)
    for _ in range(6):
        rows = rng.choice(V, 4, replace=False)
        g = rng.normal(size=(4, D))
        rule = Rule(KINDS[name], 0.1, *DECAYS, 1e-8)
        step_rows(table, rows, g, Moments(first, second), visits, rule)
        for i, row in enumerate(rows):
            times[row] += 1
            p[row], m[row], s[row] = naive.optimizer_step(
                name, p[row], g[i], m[row], s[row], times[row], 0.1, DECAYS, 1e-8
            )
    assert visits.tolist() == times.tolist()
    np.testing.assert_allclose(table, p, rtol=1e-12, atol=1e-14)
