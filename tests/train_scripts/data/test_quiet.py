"""Bars and warnings of other libraries: off in a command, and left alone by an import."""

import os
import subprocess
import sys

CODE = """
import logging, sys, warnings
import eomt.train_scripts.data.command
from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts.data.quiet import quiet_libraries
model = EomtForUniversalSegmentation(EomtConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1))
model.save_pretrained(sys.argv[1])
print("quiet from here", file=sys.stderr, flush=True)
quiet_libraries()
EomtForUniversalSegmentation.from_pretrained(sys.argv[1], num_labels=7, ignore_mismatched_sizes=True)
model.save_pretrained(sys.argv[1])
logging.getLogger("accelerate").warning("theirs")
warnings.warn("theirs")
logging.getLogger("eomt.train_scripts").warning("ours")
"""


def test_after_it_only_this_package_speaks(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_DISABLE_PROGRESS_BARS", "PYTHONWARNINGS")}
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, env=env)
    before, after = done.stderr.split("quiet from here\n")
    assert "Writing model shards" in before and after == "ours\n", done.stderr
