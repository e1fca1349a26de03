"""Ctrl-C, SIGTERM and SIGHUP: they end work where it can end, and never in the middle of a file."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stopped(KeyboardInterrupt):
    """A signal ended work that leaves nothing behind.

    Parameters
    ----------
    number
        The signal; a program that it ends exits with 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class StopSignals:
    """The signals that a process receives, see `stop_signals`.

    Attributes
    ----------
    received
        The first one; None before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False
        self._before: dict[int, object] = {}

    def listen(self) -> None:
        """Handle the signals, again if a library has taken them over meanwhile, as Ray does."""
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            # nohup, and shells without job control, make children ignore signals on purpose; a
            # service may have its own use for SIGHUP.
            ours = isinstance(getattr(handler, "__self__", None), StopSignals)
            taken = number not in (signal.SIGINT, signal.SIGTERM)
            taken = taken and handler != signal.SIG_DFL and not ours
            if handler is None or handler == signal.SIG_IGN or taken:
                continue
            try:
                signal.signal(number, self._receive)
            except ValueError:  # only the main thread can handle signals
                return
            self._before.setdefault(number, handler)

    def restore(self) -> None:
        """Undo `listen`."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Stopped` in the block when a signal arrives, and if one has arrived before."""
        self._at_once = True
        try:
            if self.received is not None:
                raise Stopped(self.received)
            yield
        finally:
            self._at_once = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # The second Ctrl-C is impatience; any other signal must not disturb the cleaning up that
        # the first one started.
        again = self.received is not None
        if not again:
            self.received = number
        if number == signal.SIGINT if again else self._at_once:
            raise Stopped(number)


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Record the signals that end a process, for work that must not end in the middle.

    Within `StopSignals.at_once`, they raise `Stopped`; so does a second Ctrl-C, anywhere. Signals
    that are ignored stay ignored. In other threads than the main one, nothing changes.
    """
    signals = StopSignals()
    try:
        signals.listen()
        yield signals
    finally:
        signals.restore()
