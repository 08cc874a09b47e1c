"""Signals are noted, answered where it is asked for, and everything is put back."""

import signal
import threading

import pytest

from stn_bench.training.interruption import NAMES, Interrupted, Interruption

NUMBERS = [getattr(signal, name) for name in NAMES]


@pytest.fixture(autouse=True)
def usual_signals():
    """What a process has at its start; put back afterwards."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    signal.raise_signal(number)  # to this thread: it is there when this returns


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_is_noted_and_leaves_with_128_and_its_number_when_answered(number):
    with Interruption() as interruption:
        send(number)
        assert interruption.requested == number
        with pytest.raises(Interrupted) as left:
            interruption.answer()
        assert (left.value.code, left.value.name) == (128 + number, signal.Signals(number).name)
        assert interruption.requested is None


def test_ctrl_c_is_noted_and_is_what_python_makes_of_it_when_answered():
    with Interruption() as interruption:
        send(signal.SIGINT)
        assert interruption.requested == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            interruption.answer()


def test_a_second_ctrl_c_leaves_at_once():
    with Interruption():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_a_second_signal_of_another_kind_waits_too():
    with Interruption() as interruption:
        send(signal.SIGUSR2)
        send(signal.SIGTERM)
        assert interruption.requested == signal.SIGTERM
        with pytest.raises(Interrupted, match="143"):
            interruption.answer()


@pytest.mark.parametrize("number", NUMBERS)
def test_the_handler_that_was_there_is_run_and_decides(number):
    seen = []
    signal.signal(number, lambda *arguments: seen.append(arguments))
    with Interruption() as interruption:
        send(number)
        assert seen == []
        interruption.answer()
        assert seen == [(number, None)]
        interruption.answer()
        assert len(seen) == 1


def test_a_handler_that_leaves_leaves():
    def requeue(number, frame):
        raise SystemExit(77)

    signal.signal(signal.SIGUSR2, requeue)
    with Interruption() as interruption:
        send(signal.SIGUSR2)
        with pytest.raises(SystemExit, match="77"):
            interruption.answer()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_is_ignored_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with Interruption() as interruption:
        send(number)
        assert interruption.requested is None
        assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_everything_is_put_back(error):
    before = [signal.getsignal(number) for number in NUMBERS]

    def work():
        with Interruption():
            assert [signal.getsignal(number) for number in NUMBERS] != before
            if error:
                raise error

    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_what_nobody_answered_is_answered_at_the_end():
    def work():
        with Interruption():
            send(signal.SIGTERM)

    with pytest.raises(Interrupted, match="143"):
        work()


def test_an_error_does_not_swallow_a_signal():
    def work():
        with Interruption():
            send(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(KeyboardInterrupt):
        work()


def test_outside_of_the_main_thread_nothing_is_installed():
    before = [signal.getsignal(number) for number in NUMBERS]
    found = []

    def work():
        with Interruption():
            found.extend(signal.getsignal(number) for number in NUMBERS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == before
