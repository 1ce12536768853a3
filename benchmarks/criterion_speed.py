"""Time of matching and losses alone beside transformers' EoMT: what a training step adds to the network's passes.

    python benchmarks/criterion_speed.py --image_size 640

Both get the same random predictions of ViT-S and the same segments, as float masks for both and as an id map, in which the Trainer
gives them, for ours. A time holds matching, losses and the gradients for features and queries. Before the timing, the sums of both
losses over 16 draws of points must agree within a percent. `--parts` lists the operations of ours that take most time.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
import transformers
from speed import CLASSES
from timing import machine_name, timed
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from eomt.configuration import architecture_config
from eomt.criterion.loss import EomtLoss
from eomt.criterion.targets import gather_targets
from eomt.prediction import Prediction
from eomt.randomness import ImageDraws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image_size", type=int, default=640, help="side of the square input, pixels")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--segments", type=int, default=16, help="of an image")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", action="store_true", help="list the operations of ours that take most time")
    args = parser.parse_args()
    calls = losses(args)
    sums = {name: statistics.mean(call() for _ in range(16)) for name, call in calls.items()}
    if max(sums.values()) > 1.01 * min(sums.values()):
        raise RuntimeError(f"the losses differ: {sums}; times of different losses say nothing")
    device = torch.device("cpu")
    print(f"matching, losses and gradients, {args.batch_size} images of {args.image_size} pixels, {machine_name(device)}")
    seconds = timed(calls, args.repeats, device)
    for name, value in seconds.items():
        print(f"  {name}: {1000 * value:.0f} ms, loss {sums[name]:.2f}, stock takes {seconds['stock'] / value:.2f} x as long")
    if args.parts:
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            calls["ours, id map"]()
        print(profiled.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=50))


def losses(args: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """{name: matches, computes losses and gradients, gives the loss}."""
    torch.manual_seed(0)
    config = architecture_config("small", image_size=args.image_size, id2label={i: str(i) for i in range(CLASSES)})
    cells, batch = args.image_size // 16, args.batch_size
    ids = [torch.randint(0, args.segments, (cells, cells)) for _ in range(batch)]
    ids = torch.stack([one.repeat_interleave(16, 0).repeat_interleave(16, 1) for one in ids])
    masks = [(one == torch.arange(args.segments)[:, None, None]).float() for one in ids]
    classes = [torch.arange(args.segments) for _ in range(batch)]
    predictions = random_predictions(config, batch, 4 * cells)
    stock = transformers.EomtForUniversalSegmentation(transformers.EomtConfig(**config.to_dict()))
    segment_ids = [torch.arange(args.segments)] * batch

    def ours(labels: tuple) -> float:
        targets = gather_targets(batch, CLASSES, *labels, torch.device("cpu"))
        return differentiated(sum(EomtLoss(config)(predictions, *targets, ImageDraws()).values()), predictions)

    def of_stock() -> float:
        terms = [
            stock.get_loss_dict(
                masks_queries_logits=prediction.mask_logits,
                class_queries_logits=prediction.class_logits,
                mask_labels=masks,
                class_labels=classes,
                auxiliary_predictions=None,
            )
            for prediction in predictions
        ]
        return differentiated(sum(sum(of_block.values()) for of_block in terms), predictions)

    return {
        "ours, id map": lambda: ours((None, classes, ids, segment_ids)),
        "ours, masks": lambda: ours((masks, classes, None, None)),
        "stock": of_stock,
    }


def random_predictions(config: transformers.PretrainedConfig, batch: int, side: int) -> list[Prediction]:
    """One for each supervised block of a ViT-S, and the last; masks of `side` x `side` cells."""
    predictions = []
    for _ in range(config.num_blocks + 1):
        features = nn.functional.layer_norm(torch.randn(batch, side, side, config.hidden_size), (config.hidden_size,))
        features = features.permute(0, 3, 1, 2).requires_grad_()
        embeddings = (0.1 * torch.randn(batch, config.num_queries, config.hidden_size)).requires_grad_()
        class_logits = torch.randn(batch, config.num_queries, CLASSES + 1, requires_grad=True)
        mask_logits = torch.einsum("bqd,bdhw->bqhw", embeddings, features)
        predictions.append(Prediction(mask_logits, class_logits, embeddings, features))
    return predictions


def differentiated(loss: Tensor, predictions: list[Prediction]) -> float:
    """Computes the gradients for queries and features, and gives the loss."""
    leaves = [leaf for prediction in predictions for leaf in prediction[1:]]
    torch.autograd.grad(loss, leaves, retain_graph=True)  # the products of queries and features are not computed anew
    return loss.item()


if __name__ == "__main__":
    main()
