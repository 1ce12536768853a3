"""Writes the demo's dataset, or plain folders of images and masks to try `prepare` on.

python train_scripts/scenes.py --out outputs/scenes --train 6000 --val 200 --seed 0
python train_scripts/scenes.py --folders walk --count 120
"""

from collections.abc import Sequence

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.scenes import SceneOptions


@command
def main(words: Sequence[str]) -> None:
    parse_options(SceneOptions, words, "Writes scenes of sprites over textures.").write()


if __name__ == "__main__":
    main()
