import os
import signal
import threading

import pytest

from embedder.training.signals import Stopped, stop_signals

NUMBERS = [signal.SIGINT, signal.SIGTERM]
HANGUP = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture
def hangup():
    """Return a function that sets what SIGHUP does during the test."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_waits_for_a_block_that_may_end_at_once(number):
    with stop_signals() as signals:
        send(number)
        assert signals.received == number
        with pytest.raises(Stopped) as stop, signals.at_once():
            pytest.fail("the signal came before")
        assert stop.value.number == number


@pytest.mark.parametrize("number", NUMBERS)
def test_within_such_a_block_a_signal_ends_it_and_the_next_does_not_disturb_the_cleaning_up(number):
    cleaned = []

    def work():
        with stop_signals() as signals, signals.at_once():
            try:
                send(number)
            finally:
                send(signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Stopped):
        work()
    assert cleaned


def test_a_second_ctrl_c_ends_everything():
    with stop_signals():
        send(signal.SIGTERM)
        with pytest.raises(Stopped):
            send(signal.SIGINT)


def test_what_signals_did_before_they_do_again_afterwards():
    before = [signal.getsignal(number) for number in NUMBERS]
    with stop_signals() as signals:
        signals.listen()
        with stop_signals():
            assert signal.getsignal(signal.SIGTERM) != signals._receive
        assert signal.getsignal(signal.SIGTERM) == signals._receive
    assert [signal.getsignal(number) for number in NUMBERS] == before


@HANGUP
def test_a_closed_terminal_stops_the_work_as_well(hangup):
    hangup(signal.SIG_DFL)
    with stop_signals() as signals:
        send(signal.SIGHUP)
        assert signals.received == signal.SIGHUP


@HANGUP
def test_nohup_is_respected(hangup):
    hangup(signal.SIG_IGN)
    with stop_signals() as signals:
        send(signal.SIGHUP)
        assert signals.received is None


@HANGUP
def test_a_service_that_uses_sighup_for_something_else_keeps_it(hangup):
    received = []
    hangup(lambda number, frame: received.append(number))
    with stop_signals() as signals:
        send(signal.SIGHUP)
        assert signals.received is None
    assert received == [signal.SIGHUP]


def test_another_thread_than_the_main_one_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with stop_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
