import naive
import numpy as np
import pytest

from embedder.kernels.optimizer import ADAGRAD, ADAM, SGD, Rule, step

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
def test_clipping_is_a_step_of_the_clipped_gradient(rng, name):
    g = rng.normal(size=33)
    start = rng.normal(size=33)
    found, expected = start.copy(), start.copy()
    rule = Rule(KINDS[name], 0.3, *DECAYS, 1e-8)
    step(found, g, np.zeros(33), np.zeros(33), rule._replace(clip=0.5))
    step(expected, np.clip(g, -0.5, 0.5), np.zeros(33), np.zeros(33), rule)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", KINDS)
def test_weight_decay_shrinks_before_the_step(rng, name):
    p, g = rng.normal(size=(2, 7))
    found, plain = p.copy(), 0.9 * p
    for array, shrink in ((found, 0.1), (plain, 0.0)):
        rule = Rule(KINDS[name], 0.3, *DECAYS, 1e-8, shrink)
        step(array, g, np.zeros(7), np.zeros(7), rule)
    np.testing.assert_allclose(found, plain, rtol=1e-12)
