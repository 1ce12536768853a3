"""Names of scores."""

from eomt.train_scripts.evaluation.score_names import score_name


def test_scores_have_their_names_of_the_field():
    names = {
        "pq_things": "PQ things",
        "miou": "mIoU",
        "boundary_ap": "boundary AP",
        "ap50": "AP50",
        "pixel_accuracy": "pixel accuracy",
        "auprc_ood": "AUPRC OOD",
        "ece": "ECE",
    }
    assert {metric: score_name(metric) for metric in names} == names
