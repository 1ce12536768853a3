"""Converts a checkpoint of the authors' repository (tue-mps/eomt) to this package's and transformers' format, or back.

    eomt convert --checkpoint pytorch_model.bin --output outputs/coco --task panoptic --data data/coco
    eomt convert --checkpoint outputs/street --output street.bin

Tensors stay as they are. Only tensors are read from a file. `--data` gives the classes their names.
"""

from collections.abc import Sequence

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.evaluation.convert_options import ConvertOptions


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(ConvertOptions, words, __doc__)
    from eomt.train_scripts.evaluation.converting import (
        convert,
    )  # heavy: after the options, so that a wrong one is answered at once

    config = convert(options).config
    size = " x ".join(map(str, config.image_size_hw))
    print(f"encoder:  {config.num_hidden_layers} blocks of width {config.hidden_size}, positions of {size} pixels")
    print(f"heads:    {config.num_queries} queries, {config.num_labels} classes")
    print(f"written:  {options.output}")


if __name__ == "__main__":
    main()
