"""Token merging as options describe it."""

import pytest

from eomt.token_merging import ALGM, MPM
from eomt.train_scripts.evaluation.inference_options import PredictOptions, ScoreOptions
from eomt.train_scripts.evaluation.merging import merging_method


@pytest.fixture(params=["score", "predict"])
def method(request, checkpoints, tmp_path):
    """`method(merge_tokens, merge_threshold, merge_blocks)`, by the options of either command."""
    (tmp_path / "labels.json").write_text("{}")
    folder = str(checkpoints / "semantic")
    given = {
        "score": (ScoreOptions, folder, str(tmp_path), "val", "semantic"),
        "predict": (PredictOptions, folder, "x", "semantic", "out"),
    }
    options, *words = given[request.param]

    def build(name=None, threshold=None, blocks=None):
        return merging_method(options(*words, merge_tokens=name, merge_threshold=threshold, merge_blocks=blocks))

    return build


def test_methods_and_their_defaults(method):
    assert method() is None and method("algm") == ALGM() and method("mpm") == MPM()
    assert method("algm", 0.9, [2, 7]) == ALGM(0.9, 2, 7) and method("mpm", None, [3]) == MPM((3,))
    assert method("algm", None, [0, 7]) == ALGM(local_block=None, global_block=7)
    assert method("algm", None, [2, 0]) == ALGM(local_block=2, global_block=None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("both",), r"merge_tokens='both' .*algm"),
        ((None, 0.9), "merge_threshold=0.9 needs merge_tokens, which is one of algm, mpm"),
        ((None, None, [1, 5]), r"merge_blocks=\[1, 5\] needs merge_tokens"),
        (("mpm", 0.9), "merge_threshold=0.9 is of merge_tokens=algm; mpm has no threshold"),
        (("algm", None, [1]), r"merge_blocks=\[1\] must be two blocks for algm, as in 1 5"),
        (("algm", 95), r"threshold=95 must lie in 0\.\.1"),
        (("algm", None, [5, 1]), "local_block=5 must come before global_block=1"),
    ],
)
def test_what_is_refused(method, words, message):
    with pytest.raises(ValueError, match=message):
        method(*words)
