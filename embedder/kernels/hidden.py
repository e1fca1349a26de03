"""The hidden layer: h = a(x W1 + b1) and its gradients.

    r = x W1 + b1            h = a(r) − c
    ∂J/∂r = ∂J/∂h ∘ a′(r)    ∂J/∂x = (∂J/∂r) W1ᵀ    ∂J/∂W1 = xᵀ ∂J/∂r    ∂J/∂b1 = Σ ∂J/∂r

The Jacobian ∂h/∂r is diagonal, hence the element-wise product ∘. The derivative is expressed in the
stored value a(r) = h + c: a(1 − a) for the sigmoid, 1 − a² for tanh. The constant c is ½ for the
sigmoid and 0 otherwise, so that h starts around zero and W2 need not represent a common offset. The
network can represent the same functions, since h W2ᵀ + b2 = a W2ᵀ + (b2 − c Σ_j W2_j), and the
Jacobians are the same.

With direct connections, the output layer's input is [h, x]; the last columns of its gradient are
added to ∂J/∂x.

The examples are cut into parts (see `embedder.kernels.parts`), each of which has its own ∂J/∂W1;
these are added in the order of the parts.
"""

import numpy as np
from numba import njit

from embedder.arrays import Array
from embedder.kernels.exp import exp
from embedder.kernels.parts import take
from embedder.kernels.threads import share

SIGMOID, TANH, RELU, IDENTITY = range(4)
EXAMPLES_PER_PART = 128


@njit(error_model="numpy", cache=True)
def activate(r, activation):
    """Replace r (n,) by h = a(r) − c."""
    one = r.dtype.type(1.0)
    two = r.dtype.type(2.0)
    if activation == SIGMOID:
        half = r.dtype.type(0.5)
        for i in range(len(r)):
            r[i] = one / (one + exp(-r[i])) - half
    elif activation == TANH:
        for i in range(len(r)):
            r[i] = two / (one + exp(-two * r[i])) - one
    elif activation == RELU:
        for i in range(len(r)):
            r[i] = max(r[i], r.dtype.type(0.0))


@njit(error_model="numpy", cache=True)
def multiply_by_derivative(d, h, activation):
    """Multiply d (n,) by a′(r), given h (n,)."""
    one = h.dtype.type(1.0)
    if activation == SIGMOID:
        half = h.dtype.type(0.5)
        for i in range(len(d)):
            d[i] *= (half + h[i]) * (half - h[i])  # a(1 − a) with a = h + ½
    elif activation == TANH:
        for i in range(len(d)):
            d[i] *= one - h[i] * h[i]
    elif activation == RELU:
        for i in range(len(d)):
            if h[i] <= 0:
                d[i] = 0


@njit(error_model="numpy", cache=True)
def forward_examples(low, high, x, W1, b1, activation, features):
    """Compute the output layer's input of examples low … high − 1; see `hidden_forward`."""
    hidden = len(b1)
    r = np.dot(x[low:high], W1)
    for i in range(high - low):
        for j in range(hidden):
            r[i, j] += b1[j]
    activate(r.reshape(-1), activation)
    for i in range(low, high):
        for j in range(hidden):
            features[i, j] = r[i - low, j]
        for j in range(hidden, features.shape[1]):
            features[i, j] = x[i, j - hidden]


@njit(nogil=True, error_model="numpy", cache=True)
def _forward_parts(parts, x, W1, b1, activation, features):
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * EXAMPLES_PER_PART
        high = min(len(x), low + EXAMPLES_PER_PART)
        forward_examples(low, high, x, W1, b1, activation, features)


def hidden_forward(x: Array, W1: Array, b1: Array, activation: int, features: Array) -> None:
    """Compute the output layer's input.

    Parameters
    ----------
    x : (B, D)
    W1 : (D, H)
    b1 : (H,)
    activation : int
        `SIGMOID`, `TANH`, `RELU` or `IDENTITY`.
    features : (B, H) or (B, H + D)
        Receives h, and x after it with direct connections.
    """
    share(_forward_parts, -(-len(x) // EXAMPLES_PER_PART), x, W1, b1, activation, features)


@njit(error_model="numpy", cache=True)
def differentiate_examples(low, high, layer, d_features, activation, d_x, d_W1, d_b1):
    """Compute the gradients of examples low … high − 1; see `hidden_backward`."""
    x, W1, features = layer
    hidden = W1.shape[1]
    d_r, h = np.empty((high - low, hidden), x.dtype), np.empty((high - low, hidden), x.dtype)
    for i in range(high - low):
        for j in range(hidden):
            d_r[i, j] = d_features[low + i, j]
            h[i, j] = features[low + i, j]
    multiply_by_derivative(d_r.reshape(-1), h.reshape(-1), activation)
    d_b1[:] = 0
    for i in range(high - low):
        for j in range(hidden):
            d_b1[j] += d_r[i, j]
    d_input = d_x[low:high]
    np.dot(d_r, W1.T, d_input)
    for i in range(high - low):
        for j in range(hidden, features.shape[1]):
            d_input[i, j - hidden] += d_features[low + i, j]
    np.dot(x[low:high].T, d_r, d_W1)


@njit(nogil=True, error_model="numpy", cache=True)
def _backward_parts(parts, layer, d_features, activation, d_x, W1_by_part, b1_by_part):
    batch = len(d_x)
    while True:
        part = take(parts)
        if part < 0:
            break
        low = part * EXAMPLES_PER_PART
        high = min(batch, low + EXAMPLES_PER_PART)
        d_W1, d_b1 = W1_by_part[part], b1_by_part[part]
        differentiate_examples(low, high, layer, d_features, activation, d_x, d_W1, d_b1)


@njit(cache=True)
def _add_parts(by_part, total):
    """Sum an array (parts, m, n) over its parts, in their order."""
    for i in range(len(total)):  # sums of two-dimensional arrays take seconds to compile
        row = total[i]
        row[:] = by_part[0, i]
        for part in range(1, len(by_part)):
            row += by_part[part, i]


def hidden_backward(
    x: Array,
    W1: Array,
    features: Array,
    d_features: Array,
    activation: int,
    gradients: tuple[Array, Array, Array],
) -> None:
    """Compute the gradients of the hidden layer and of its input.

    Parameters
    ----------
    x, W1, features, activation
        As in `hidden_forward`.
    d_features : like `features`
        ∂J/∂h, and after it ∂J/∂x through the direct connections.
    gradients
        ∂J/∂x (B, D), ∂J/∂W1 (D, H) and ∂J/∂b1 (H,), to be set.
    """
    d_x, d_W1, d_b1 = gradients
    parts = -(-len(x) // EXAMPLES_PER_PART)
    W1_by_part = np.empty((parts, *d_W1.shape), x.dtype)
    b1_by_part = np.empty((parts, 1, len(d_b1)), x.dtype)
    layer = x, W1, features
    share(_backward_parts, parts, layer, d_features, activation, d_x, W1_by_part, b1_by_part[:, 0])
    _add_parts(W1_by_part, d_W1)
    _add_parts(b1_by_part, d_b1[None])
