"""The first Ctrl-C is noted, the second ends the process at once, also in the middle of a long operation."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from eomt.train_scripts.data.process_end import EXIT_CODE
from eomt.train_scripts.training import signals
from eomt.train_scripts.training.signals import SIGNALS, Signals, WorkerShield


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_is_noted_and_said_and_a_launchers_repetition_is_the_same(number, capsys):
    before = [signal.getsignal(one) for one in SIGNALS]
    with Signals() as noted:
        assert not noted.received
        os.kill(os.getpid(), number)
        wait_for(lambda: noted.received)
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(one) for one in SIGNALS] == before
    assert capsys.readouterr().err.strip() == (
        f"{signal.Signals(number).name}: the step at hand is finished and a checkpoint saved; press Ctrl-C again to end at once"
    )
    with noted:
        assert not noted.received


def test_another_process_says_nothing(capsys):
    with Signals(speaks=False) as noted:
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: noted.received)
    assert capsys.readouterr().err == ""


def test_outside_of_the_main_thread_nothing_changes():
    before, seen = [signal.getsignal(one) for one in SIGNALS], []

    def use():
        with Signals():
            seen.append([signal.getsignal(one) for one in SIGNALS])

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [before]


BUSY = """
import sys, time, torch
from eomt.train_scripts.training import signals
signals.SAME_PRESS = 0.0
with signals.Signals() as noted:
    print("ready", flush=True)
    ones = torch.ones(2600, 2600, dtype=torch.float64)
    while True:
        torch.linalg.svdvals(ones)  # one call of seconds, which no handler of Python interrupts
"""


def test_the_second_ends_the_process_in_the_middle_of_an_operation():
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "\n" and "press Ctrl-C again" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == EXIT_CODE
    assert errors.strip() == "SIGINT again: ended at once; the same command goes on from the last whole checkpoint"


def test_a_worker_passes_over_what_the_training_notes_and_can_be_ended_after_it():
    """In a process of its own, which the second SIGTERM ends."""
    code = f"import os, signal, torch; from {signals.__name__} import {WorkerShield.__name__} as Shield\n"
    code += "listening = torch.ones(1, dtype=torch.bool)\nShield(listening)(0)\n"
    code += "for number in (signal.SIGINT, signal.SIGTERM):\n    os.kill(os.getpid(), number)\n"
    code += "print('alive', flush=True)\nlistening.fill_(False)\nos.kill(os.getpid(), signal.SIGTERM)\nprint('still')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "alive\n")


def test_others_see_whether_signals_are_noted():
    noted = Signals()
    assert noted.listening.is_shared() and not noted.listening.item()
    with noted:
        assert noted.listening.item()
    assert not noted.listening.item()
