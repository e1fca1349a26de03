"""Deferred handling of Ctrl-C and SIGTERM, so that training stops between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Record Ctrl-C and SIGTERM in the list; raise KeyboardInterrupt for a second Ctrl-C."""
    received: list[int] = []

    def record(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    try:
        before = {
            number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # only the main thread can handle signals
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
