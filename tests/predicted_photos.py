"""Five photos that tests predict, and a run over them."""

from eomt.train_scripts.predict import predict

SIZES = [(112, 112), (70, 112), (112, 60), (50, 50), (112, 112)]
NAMES = ["000000000100", "000000000101", "000000000102", "000000000104", "more/x"]


def run(checkpoints, photos, task: str, out, **options) -> dict[str, int]:
    limits = {"threshold": 0.05} if task == "panoptic" else {}
    return predict(checkpoints / task, photos, task, out, bf16=False, **limits, **options)
