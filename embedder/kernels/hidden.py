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

The examples are distributed over threads, each of which computes its own ∂J/∂W1; these are summed
in a fixed order, which avoids races and gives bit-identical results for the same number of threads.
"""

import numpy as np
from numba import njit, prange

from embedder.kernels.exp import exp

SIGMOID, TANH, RELU, IDENTITY = range(4)


@njit(error_model="numpy", cache=True)
def activate(r, activation):
    """Replace r (H,) by h = a(r) − c."""
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
    """Multiply d (H,) by a′(r), given h (H,)."""
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


@njit(parallel=True, error_model="numpy", cache=True)
def hidden_forward(x, W1, b1, activation, threads, features):
    """Compute the output layer's input.

    Parameters
    ----------
    x : (B, D)
    W1 : (D, H)
    b1 : (H,)
    activation : int
        `SIGMOID`, `TANH`, `RELU` or `IDENTITY`.
    threads : int
    features : (B, H) or (B, H + D)
        Receives h, and x after it with direct connections.
    """
    batch = len(x)
    hidden = len(b1)
    for thread in prange(threads):
        low = thread * batch // threads
        high = (thread + 1) * batch // threads
        r = np.dot(x[low:high], W1)
        for i in range(low, high):
            row = r[i - low]
            row += b1
            activate(row, activation)
            features[i, :hidden] = row
            if features.shape[1] > hidden:
                features[i, hidden:] = x[i]


@njit(parallel=True, error_model="numpy", cache=True)
def hidden_backward(x, W1, features, d_features, activation, threads, d_x, d_W1, d_b1):
    """Compute the gradients of the hidden layer and of its input.

    Parameters
    ----------
    x, W1, features, activation, threads
        As in `hidden_forward`.
    d_features : like `features`
        ∂J/∂h, and after it ∂J/∂x through the direct connections.
    d_x : (B, D)
    d_W1 : (D, H)
    d_b1 : (H,)
        Receive the gradients.
    """
    batch, dimension = x.shape
    hidden = W1.shape[1]
    W1_by_thread = np.empty((threads, dimension, hidden), x.dtype)
    b1_by_thread = np.zeros((threads, hidden), x.dtype)
    W1_transposed = W1.T
    for thread in prange(threads):
        low = thread * batch // threads
        high = (thread + 1) * batch // threads
        d_r = np.empty((high - low, hidden), x.dtype)
        for i in range(low, high):
            row = d_r[i - low]
            row[:] = d_features[i, :hidden]
            multiply_by_derivative(row, features[i, :hidden], activation)
            b1_by_thread[thread] += row
        d_input = d_x[low:high]
        np.dot(d_r, W1_transposed, d_input)
        if features.shape[1] > hidden:
            d_input += d_features[low:high, hidden:]
        np.dot(x[low:high].T, d_r, W1_by_thread[thread])
    d_W1[:] = W1_by_thread[0]
    d_b1[:] = b1_by_thread[0]
    for thread in range(1, threads):
        d_W1 += W1_by_thread[thread]
        d_b1 += b1_by_thread[thread]
