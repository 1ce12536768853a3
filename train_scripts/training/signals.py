"""Ctrl-C and SIGTERM, noted instead of ending the process: the first asks a training to stop, the second ends it at once."""

import os
import signal
import socket
import sys
import threading
import time

import torch
from torch import Tensor

from eomt.train_scripts.data.process_end import EXIT_CODE

SIGNALS = (signal.SIGINT, signal.SIGTERM)
END = b"\0"  # no signal has this number
SAME_PRESS = 2.0  # seconds: `accelerate launch` passes on a signal that the terminal has sent to all processes already


class Signals:
    """
    Within it, as a context, the first signal sets `received`, and a second one ends the process.

    A thread listens for them, since Python's handlers wait for the end of the operation at hand, which may be a long backward pass.
    Outside of the main thread, where Python allows no handlers, nothing changes.

    Args:
        speaks: whether this process prints what happens.

    Attributes:
        received: whether there was a signal.
        listening: one element, in memory shared with processes that get it: whether a signal is noted now.
    """

    def __init__(self, speaks: bool = True):
        self.speaks, self.received = speaks, False
        self.listening = torch.zeros(1, dtype=torch.bool).share_memory_()
        self._since = 0.0
        self._listener: threading.Thread | None = None

    def __enter__(self) -> "Signals":
        self.received = False
        if threading.current_thread() is not threading.main_thread():
            return self
        reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._listener = threading.Thread(target=self._listen, args=(reader,), daemon=True)
        self._listener.start()
        self._handlers = {number: signal.signal(number, _pass_over) for number in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self.listening.fill_(True)
        return self

    def __exit__(self, *_) -> None:
        if self._listener is None:
            return
        self.listening.fill_(False)
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._writer.send(END)  # closing it ends nothing: DataLoader's workers, which are forks, have it too
        self._listener.join()
        self._writer.close()
        self._listener = None

    def _listen(self, reader: socket.socket) -> None:
        """Every signal that has a handler in Python arrives as its number, those of others too."""
        with reader:
            while (number := reader.recv(1)) != END:
                if number[0] in SIGNALS:
                    self._take(number[0])

    def _take(self, number: int) -> None:
        now, name = time.monotonic(), signal.Signals(number).name
        if not self.received:
            self._since, self.received = now, True
            self._say(f"{name}: the step at hand is finished and a checkpoint saved; press Ctrl-C again to end at once")
        elif now - self._since > SAME_PRESS:
            self._say(f"{name} again: ended at once; the same command goes on from the last whole checkpoint")
            os._exit(EXIT_CODE)

    def _say(self, text: str) -> None:
        if self.speaks:
            print(f"\n{text}", file=sys.stderr, flush=True)  # a progress bar is on the line before


class WorkerShield:
    """
    Keeps a DataLoader's worker alive when a terminal or a job scheduler signals all processes: the step at hand needs it.

    After the training, SIGTERM ends it as ever: that is how Python ends workers that are left when the process exits.

    Args:
        listening: of the training process's [`Signals`].
    """

    def __init__(self, listening: Tensor):
        self.listening = listening

    def __call__(self, worker: int) -> None:
        """To be called in the worker, as DataLoader's `worker_init_fn`."""
        signal.set_wakeup_fd(-1)  # a fork has that of the training process
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: object) -> None:
        if not self.listening.item():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _pass_over(number: int, frame: object) -> None:
    pass
