"""Freed memory that a process keeps is taken again without new pages."""

import resource
import subprocess
import sys

import pytest

from eomt.train_scripts.training import freed_memory

PROGRAM = """
import resource, torch
from eomt.train_scripts.training.freed_memory import keep_freed_memory
if {keeps}:
    assert keep_freed_memory()
for _ in range(3):
    torch.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(freed_memory.platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_large_tensors_take_no_new_pages():
    """20 tensors of 32 MiB are 160,000 pages of 4 KiB, which come anew for each tensor by default."""
    faults = {}
    for keeps in (False, True):
        done = subprocess.run([sys.executable, "-c", PROGRAM.format(keeps=keeps)], capture_output=True, text=True, check=True)
        faults[keeps] = int(done.stdout)
    pages = 20 * (32 << 20) // resource.getpagesize()
    assert faults[True] < 0.02 * pages and faults[True] < 0.2 * faults[False], faults


def test_other_allocators_are_left_alone(monkeypatch):
    monkeypatch.setattr(freed_memory.platform, "libc_ver", lambda: ("", ""))
    assert freed_memory.keep_freed_memory() is False
