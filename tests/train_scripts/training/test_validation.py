"""Scoring the model of a training."""

import json
from contextlib import nullcontext

import pytest
from transformers import AutoImageProcessor, AutoModel

from eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.train_scripts import train
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.score import score
from eomt.train_scripts.training import validation
from eomt.train_scripts.training.overlays import OverlayCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.validation import Validation


@pytest.fixture
def parts(checkpoints, few_scenes):
    """A validation in panoptic segmentation, a model, and a stream of three images."""
    model = AutoModel.from_pretrained(checkpoints / "panoptic")
    processor = AutoImageProcessor.from_pretrained(checkpoints / "panoptic")
    overlays = OverlayCallback(scenes.LABELS, 2, TrainingProgress())
    made = Validation(processor, scenes.LABELS, task_of("panoptic"), 0.1, 2, overlays, SkippedSamples(), show_progress=False)
    return made, model, evaluation_stream(few_scenes, "val", processor)


def test_the_metrics_that_are_numbers_are_scored_and_a_few_images_kept(parts):
    made, model, stream = parts
    scores = made.score(model, stream, nullcontext)
    assert {"pq", "sq", "rq", "pq_things", "pq_stuff"} <= scores.keys()
    assert all(isinstance(value, float) for value in scores.values())
    assert len(made.overlays._rows) == 2


def test_the_threshold_decides_what_is_a_segment(parts):
    made, model, stream = parts
    made.threshold = 2.0
    assert made.score(model, stream, nullcontext)["pq"] == 0.0


@pytest.mark.parametrize(("equal_passes", "passes"), [(False, 0), (True, 2)])
def test_processes_that_share_the_weights_make_as_many_forward_passes_as_any_needs(parts, equal_passes, passes, monkeypatch):
    """Three images in batches of two."""
    made, model, stream = parts
    asked, predict = [], validation.predictions

    def spy(*arguments, passes, **options):
        asked.append(passes)
        return predict(*arguments, **options)

    monkeypatch.setattr(validation, "predictions", spy)
    made.score(model, stream, nullcontext, equal_passes)
    assert asked == [passes]


def test_images_that_are_left_out_are_warned_of_and_not_counted(parts, monkeypatch, caplog):
    made, model, stream = parts
    decode = type(stream.decode).__call__

    def skip_first(self, row):
        sample = decode(self, row)
        if row["image_id"].endswith("0"):
            self.skipped.append("val-00000: spoilt")
            return None
        return sample

    monkeypatch.setattr(type(stream.decode), "__call__", skip_first)
    made.score(model, stream, nullcontext)
    made.score(model, stream, nullcontext)
    assert caplog.messages.count("left out: val-00000: spoilt") == 1 and made.skipped.total == 0


def test_a_run_is_scored_in_tiles_as_the_scoring_does(tiny_words, few_scenes, tmp_path, capsys, monkeypatch):
    joined, merge = [], TiledProcessor.post_process_instance_segmentation

    def post_process(self, outputs, *options, **named):
        joined.append(len(outputs.masks_queries_logits))
        return merge(self, outputs, *options, **named)

    monkeypatch.setattr(TiledProcessor, "post_process_instance_segmentation", post_process)
    words = [*tiny_words, "--task", "instance", "--image_size", "64", "--tiles", "2", "--output_dir", str(tmp_path)]
    train.main(words)
    assert joined == 3 * [1 + 9]  # of three square images
    assert capsys.readouterr().out.count("--tiles 2") == 2  # in the commands that come next
    results = json.loads((tmp_path / "eval_results.json").read_text())
    tiled, _ = score(tmp_path, few_scenes, "val", "instance", tiles=2.0)
    assert tiled["ap"] == pytest.approx(results["eval_ap"], abs=0.01)
    assert EomtImageProcessor.from_pretrained(tmp_path).size["longest_edge"] == 64  # of whole images
    with pytest.raises(ValueError, match="tiles=2.0 is for task='instance', not 'panoptic'"):
        train.run([*tiny_words, "--tiles", "2", "--output_dir", str(tmp_path / "other")])
