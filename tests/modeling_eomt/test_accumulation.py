"""A batch in parts, over steps or over processes, gives the gradients of the batch in one."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from eomt.criterion.normalizers import loss_normalizers
from eomt.piloted_queries import Piloting


def gradients_of(model, *batches: dict) -> list[torch.Tensor]:
    model.zero_grad()
    for batch in batches:
        model(**batch).loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def part(batch: dict, images: slice) -> dict:
    return {name: values[images] for name, values in batch.items()}


@pytest.mark.every_encoder
@pytest.mark.parametrize("probs", [0.0, 0.6])
def test_micro_batches_equal_the_joint_batch(tiny_model, batch, probs):
    model = tiny_model(probs=probs).train()
    joint = gradients_of(model, batch)
    parts = [part(batch, slice(0, 1)), part(batch, slice(1, 4))]
    sums = sum(loss_normalizers(one["class_labels"], 8, model.config.no_object_weight) for one in parts)
    for one in parts:
        one["loss_normalizers"] = sums
    torch.testing.assert_close(gradients_of(model, *parts), joint, atol=1e-6, rtol=1e-5)


# parts of unlike size and unlike numbers of segments; in the others, one process has nothing but an image without segments, and
# in the last the joint batch has one segment, so that the mean over processes is below 1
SPLITS = {
    "uneven": [slice(0, 1), slice(1, 4)],
    "nothing on one": [slice(1, 2), slice(2, 4)],
    "one segment": [slice(1, 2), slice(2, 3)],
}


def _train_one(rank: int, port: int, folder: Path, split: str, accumulated: bool) -> None:
    """One of two processes: its part of the batch, its gradients averaged with the other's."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    model, batch = torch.load(folder / "job.pt", weights_only=False)
    images = SPLITS[split][rank]
    batches = [part(batch, images)]
    if accumulated:
        sums = model.loss_normalizers(batches[0]["class_labels"])
        dist.all_reduce(sums)
        batches = [part(batch, slice(image, image + 1)) for image in range(images.start, images.stop)]
        for one in batches:
            one["loss_normalizers"] = sums / 2
    gradients = gradients_of(model, *batches)
    for gradient in gradients:
        dist.all_reduce(gradient)
        gradient /= 2  # what DistributedDataParallel does
    if rank == 0:
        torch.save(gradients, folder / "gradients.pt")
    dist.destroy_process_group()


def run_both(folder: Path, split: str, accumulated: bool) -> None:
    """The two processes, on the model and the batch in `job.pt`; they leave `gradients.pt`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [str(port), str(folder), split, "accumulated" if accumulated else "at once"]
    workers = [subprocess.Popen([sys.executable, __file__, str(rank), *options]) for rank in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]


@pytest.mark.parametrize("piloting", [None, Piloting(5)])
@pytest.mark.parametrize(
    ("split", "accumulated"),
    [("uneven", False), ("uneven", True), ("nothing on one", False), ("one segment", False), ("one segment", True)],
)
def test_two_processes_equal_the_joint_batch(tiny_model, batch, split, accumulated, piloting, tmp_path):
    model = tiny_model(probs=0.6).train()
    model.piloting = piloting
    torch.save((model, batch), tmp_path / "job.pt")
    run_both(tmp_path, split, accumulated)
    images = slice(SPLITS[split][0].start, SPLITS[split][1].stop)
    joint = gradients_of(model, part(batch, images))
    torch.testing.assert_close(torch.load(tmp_path / "gradients.pt"), joint, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["eomt_ladder"])
def test_batch_normalisation_of_two_processes_is_that_of_the_joint_batch(tiny_model, batch, model_type, tmp_path):
    model = tiny_model(probs=0.6, row=0).train()
    torch.save((model, batch), tmp_path / "job.pt")
    run_both(tmp_path, "uneven", accumulated=False)
    joint = gradients_of(model, part(batch, slice(0, 4)))
    torch.testing.assert_close(torch.load(tmp_path / "gradients.pt"), joint, atol=1e-5, rtol=1e-4)


def test_evaluation_waits_for_no_other_process(tiny_model, batch, monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", None)  # a call would raise
    assert tiny_model()(**batch).loss.isfinite()


if __name__ == "__main__":  # one of the two processes
    _train_one(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5] == "accumulated")
