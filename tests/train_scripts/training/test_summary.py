"""What a run says at its end."""

from eomt.train_scripts import train
from eomt.train_scripts.training.summary import run_summary


def test_it_says_scores_by_class_where_things_are_and_what_comes_next(tiny_words, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--overlays", "1", "--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"]
    train.main([*tiny_words, "--output_dir", str(out), *words])
    shown = capsys.readouterr().out
    assert "\nclass " in shown and "\nladybug " in shown and "\nall " in shown
    assert f"\nmodel:    {out} (best PQ " in shown and "at step 1 of 1; " in shown
    assert f"\npicture:  {out}/picture.png\nscores:   {out}/all_results.json" in shown
    assert f"next:     eomt predict --checkpoint {out} " in shown and f"eomt score --checkpoint {out} " in shown


def test_a_run_without_evaluation_says_nothing_of_scores(tiny_run, tmp_path):
    shown = run_summary(tiny_run("--eval_split", ""))
    assert shown.startswith(f"model:    {tmp_path}\n") and "class" not in shown and "eomt score" not in shown
