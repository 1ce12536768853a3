"""The end of a command's process: in one line when it is interrupted, and without a process group's threads."""

import gc
import subprocess
import sys
import weakref

import pytest
import torch.distributed as dist

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.process_end import EXIT_CODE


@pytest.mark.parametrize(
    ("raised", "shown"), [("KeyboardInterrupt('saved')", "saved\n"), ("KeyboardInterrupt", "interrupted: nothing stored")]
)
def test_an_interruption_ends_every_command_in_one_line(raised, shown):
    code = f"from eomt.train_scripts.data.command import command\n@command\ndef main(words):\n    raise {raised}\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == EXIT_CODE and done.stderr.startswith(shown) and done.stderr.count("\n") == 1


class Holder:
    """Holds the process group in a cycle, as a trainer does."""

    def __init__(self):
        self.itself, self.group = self, dist.group.WORLD


@pytest.mark.parametrize("interrupted", [False, True])
def test_nothing_holds_the_process_group_afterwards(interrupted, tmp_path):
    """Its threads would abort the process at its end."""
    held = []

    @command
    def main(words):
        dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
        holder = Holder()
        held.append(weakref.ref(holder))
        held.append(weakref.ref(holder.group))
        if interrupted:
            raise KeyboardInterrupt

    gc.disable()
    try:
        if interrupted:
            with pytest.raises(SystemExit):
                main([])
        else:
            main([])
        assert not dist.is_initialized() and [one() for one in held] == [None, None]
    finally:
        gc.enable()
