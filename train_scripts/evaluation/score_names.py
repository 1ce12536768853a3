"""The scores of all tasks: how they are called in the field, and which of them a line or a panel has room for."""

NAMES = {"pq": "PQ", "sq": "SQ", "rq": "RQ", "miou": "mIoU", "ap": "AP", "ap50": "AP50", "ap75": "AP75"}
HEADLINES = (*NAMES, "pixel_accuracy")  # over all classes and sizes
NAMES |= {"auroc": "AUROC", "auprc": "AUPRC", "fpr95": "FPR95", "ece": "ECE", "ood": "OOD"}  # of confidence


def score_name(metric: str) -> str:
    """`pq_things` -> `PQ things`."""
    return " ".join(NAMES.get(word, word) for word in metric.split("_"))
