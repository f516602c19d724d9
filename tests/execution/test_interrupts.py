import os
import signal
import subprocess
import sys
import threading

import pytest

from beampipe.execution.interrupts import deferred_interrupt, terminable

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_one_is_noted_and_the_second_one_raises(number):
    before = signal.getsignal(number)
    event = threading.Event()
    with deferred_interrupt(event):
        os.kill(os.getpid(), number)
        assert event.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


class SetSlowly(threading.Event):
    """The second signal comes while the first one is being noted."""

    def set(self):
        with self._cond:
            os.kill(os.getpid(), signal.SIGTERM)
            self._flag = True


def test_two_at_nearly_the_same_time_do_not_lock_each_other_out():
    with deferred_interrupt(SetSlowly()), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_without_a_signal_nothing_happens():
    event = threading.Event()
    with deferred_interrupt(event):
        pass
    assert not event.is_set()


def test_handlers_are_put_back_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ValueError, match="x"), deferred_interrupt(threading.Event()):
        raise ValueError("x")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_is_left_alone():
    before = [signal.getsignal(number) for number in SIGNALS]
    seen = []

    def work():
        with deferred_interrupt(threading.Event()):
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before


def test_a_handler_that_python_did_not_set_is_no_error(monkeypatch):
    real = signal.signal

    def foreign(number, handler):
        assert handler is not None
        real(number, handler)

    before = [signal.getsignal(number) for number in SIGNALS]
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", foreign)  # gives None, as for a handler set in C
        with deferred_interrupt(threading.Event()):
            pass
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    for number, handler in zip(SIGNALS, before, strict=True):
        real(number, handler)


def test_a_process_finishes_its_commit_before_it_goes():
    code = (
        "import os, signal, threading\n"
        "from beampipe.execution.interrupts import deferred_interrupt\n"
        "event = threading.Event()\n"
        "with deferred_interrupt(event):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('committed', event.is_set())\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-uc", code], capture_output=True, check=False)
    assert done.stdout == b"committed True\n"
    assert done.returncode == -signal.SIGTERM


def test_sigterm_ends_a_block_as_ctrl_c_does():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), terminable():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_of_the_users_own_stays():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
        assert seen == [1]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_in_another_thread_is_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen = []

    def work():
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIG_DFL]
