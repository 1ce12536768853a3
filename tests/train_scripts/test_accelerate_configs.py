"""The launch configurations: each is one that accelerate knows, and the one for a CPU trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from transformers import AutoModel

from eomt import EomtForUniversalSegmentation
from eomt.train_scripts import train

FOLDER = Path(__file__).parents[2] / "train_scripts/accelerate_configs"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_it_and_its_head_says_whether_it_was_run(path):
    config = load_config_from_file(str(path))
    assert config.num_processes == int(path.stem.split("_")[1]) and config.num_machines == 1
    head = path.read_text().split("\n")[0:2]
    assert any("Run in the tests" in line or "Not run" in line for line in head)
    if path.stem.startswith("fsdp2"):
        assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"] in EomtForUniversalSegmentation._no_split_modules


@pytest.mark.slow
def test_two_processes_on_a_cpu_train(tiny_words, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(FOLDER / "cpu_2.yaml")]
    command += [str(Path(train.__file__)), *tiny_words, "--output_dir", str(tmp_path), "--per_device_train_batch_size", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert AutoModel.from_pretrained(tmp_path).config.num_labels == 14
