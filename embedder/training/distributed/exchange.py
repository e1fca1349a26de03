"""Communication between the processes of a training, over gloo.

Process 0 leads: it sends orders with a batch's hidden vectors and receives sums. All transfers use
preallocated memory. gloo is part of Xoscar; docs/distributed.md has the measurements behind the
choice.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np

from embedder.arrays import Array
from embedder.training.engine import WorkerLost

_BYTES_PER_MESSAGE = 1 << 26
_MAX_TAGS = 1 << 20
_ADDITION_TYPES = {"f4": "glooFloat32", "f8": "glooFloat64"}


class Exchange:
    """One process's connections to the other processes of a group.

    Parameters
    ----------
    rank, size
        The number of this process, and the number of processes.
    host, port
        The address of the rendezvous in process 0.
    address
        This machine's address, as seen by the other processes.
    patience
        Seconds after which a silent process counts as lost.

    Raises
    ------
    WorkerLost
        In the constructor and in every method, if another process is lost.
    """

    def __init__(
        self, rank: int, size: int, host: str, port: int, address: str, patience: float
    ) -> None:
        self.rank, self.size = rank, size
        self.bytes = 0
        """Bytes sent and received by this process so far."""
        self.seconds = 0.0
        """Seconds spent in exchanges, including the wait for slower processes."""
        self._exchanges = 0
        if size == 1:
            return
        from xoscar.collective import xoscar_pygloo as gloo

        self._gloo: Any = gloo
        options = gloo.rendezvous.TCPStoreOptions()
        options.port, options.numWorkers, options.isServer = port, size, rank == 0
        with self._counted(0):
            # The store must outlive the rendezvous.
            self._store = gloo.rendezvous.TCPStore(host, options)
            device = gloo.transport.tcp.CreateDevice(gloo.transport.tcp.attr(address))
            self._context = gloo.rendezvous.Context(rank, size)
            self._context.setTimeout(timedelta(seconds=patience))
            self._context.connectFullMesh(self._store, device)

    @contextmanager
    def _counted(self, count: int) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except RuntimeError as error:  # raised for gloo's exceptions
            raise WorkerLost(str(error)) from None
        self.seconds += time.perf_counter() - started
        self.bytes += count

    def _tag(self) -> int:
        """Return a distinct tag for each collective exchange, so that no two are confused."""
        self._exchanges = self._exchanges % _MAX_TAGS + 1
        return self._exchanges

    def broadcast(self, array: Array) -> None:
        """Copy process 0's array into the arrays of all processes, in place."""
        if self.size == 1:
            return
        for piece in _pieces(array):
            with self._counted(piece.nbytes):
                where, byte = piece.ctypes.data, self._gloo.GlooDataType_t.glooUint8
                self._gloo.broadcast(
                    self._context, where, where, piece.nbytes, byte, 0, self._tag()
                )

    def gather(self, array: Array, all_arrays: Array) -> None:
        """Gather the arrays of all processes in process 0.

        Parameters
        ----------
        array
            This process's array.
        all_arrays : (size, *array.shape)
            Receives the arrays in process 0; unused elsewhere.
        """
        if self.size == 1:
            all_arrays[0] = array
            return
        byte = self._gloo.GlooDataType_t.glooUint8
        with self._counted(array.nbytes * (self.size - 1 if self.rank == 0 else 1)):
            where, whole, tag = array.ctypes.data, all_arrays.ctypes.data, self._tag()
            self._gloo.gather(self._context, where, whole, array.nbytes, byte, 0, tag)

    def add_up(self, array: Array, total: Array) -> None:
        """Sum the arrays of all processes (float32 or float64) in process 0, in a fixed order.

        Parameters
        ----------
        array
            This process's array.
        total : like `array`
            Receives the sum in process 0; work space elsewhere.
        """
        if self.size == 1:
            total[...] = array
            return
        kind = getattr(self._gloo.GlooDataType_t, _ADDITION_TYPES[array.dtype.str[1:]])
        add = self._gloo.ReduceOp.SUM
        with self._counted(array.nbytes):
            where, whole, tag = array.ctypes.data, total.ctypes.data, self._tag()
            self._gloo.reduce(self._context, where, whole, array.size, kind, add, 0, tag)

    def send(self, array: Array, to: int) -> None:
        """Send an array to one process, which must call `receive`."""
        for piece in _pieces(array):
            with self._counted(piece.nbytes):
                byte = self._gloo.GlooDataType_t.glooUint8
                self._gloo.send(self._context, piece.ctypes.data, piece.nbytes, byte, to)

    def receive(self, array: Array, sender: int) -> None:
        """Receive an array from one process, in place."""
        for piece in _pieces(array):
            with self._counted(piece.nbytes):
                byte = self._gloo.GlooDataType_t.glooUint8
                self._gloo.recv(self._context, piece.ctypes.data, piece.nbytes, byte, sender)

    def close(self) -> None:
        """Leave the group; the other processes detect it at their next exchange."""
        if self.size > 1:
            self._context.closeConnections()


def _pieces(array: Array) -> Iterator[Array]:
    """Yield views of an array's bytes, each small enough for one message."""
    everything = array.reshape(-1).view(np.uint8)
    for start in range(0, len(everything), _BYTES_PER_MESSAGE):
        yield everything[start : start + _BYTES_PER_MESSAGE]
