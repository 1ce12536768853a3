"""`Trainer` for EoMT: one stream a process, exact loss normalisation over accumulated batches, its own scoring."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import ProgressCallback

from eomt.collectives import mean_over_processes
from eomt.criterion.normalizers import loss_normalizers
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream
from eomt.train_scripts.data.training_stream import TrainingCollator, TrainingStream
from eomt.train_scripts.evaluation.inference import predictions, score_predictions
from eomt.train_scripts.evaluation.tasks import make_metric
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.deciding import deciding_options
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.loss_terms import LossTermMeans
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.model_card import write_model_card
from eomt.train_scripts.training.overlays import OverlayCallback
from eomt.train_scripts.training.parameter_groups import group_parameters, optimizer_groups
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.progress_bar import TrainingBar
from eomt.train_scripts.training.resuming import LogsEndWithCheckpoints, ResumableTrainer
from eomt.train_scripts.training.schedules import learning_rate_factor
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.weight_average import WeightAverage


class EomtTrainer(ResumableTrainer):
    """
    Trains EoMT by the paper's recipe and scores its task.

    Args:
        model: to train.
        args: the run.
        train_stream, eval_stream: this process's share of the samples; nothing shards them again.
        labels: the task's classes.
        task: one of `TASKS`.
        pretrained: whether the encoder is; a new one warms up with the rest.
        threshold: class score a query needs to become a segment (panoptic).
        processing_class: the image processor, which post-processes and is saved with the model.
        run_arguments: options of model and data, for the model card, which leaves start and data out without them.
    """

    loss_is_scaled_for_ga = True  # the model divides by the normalizers of all accumulated batches

    def __init__(
        self,
        model: EomtForUniversalSegmentation,
        args: EomtTrainingArguments,
        train_stream: TrainingStream,
        eval_stream: EvaluationStream | None,
        labels: Labels,
        task: str,
        pretrained: bool,
        processing_class: EomtImageProcessor,
        threshold: float = 0.8,
        run_arguments: tuple[ModelArguments | None, DataArguments | None] = (None, None),
        **kwargs,
    ):
        self.progress = TrainingProgress(args.minutes)
        self.masking = MaskAnnealingCallback(self.progress, args.masking, args.poly_power)
        self.labels, self.task, self.pretrained, self.threshold = labels, task, pretrained, threshold
        self.run_arguments = run_arguments
        self.finite = FiniteLoss(args.output_dir, args.process_index, check_norms=not args.fp16)
        self.average = WeightAverage(args.ema_decay) if args.ema_decay else None
        args.settle(task, eval_stream is not None)
        model.supervises_blocks = args.masking != "never"
        self.skipped = SkippedSamples()
        self._term_means = LossTermMeans()
        self._head_rate = 0.0
        super().__init__(
            model,
            args,
            TrainingCollator(processing_class.image_mean, processing_class.image_std),
            train_dataset=train_stream,
            eval_dataset=eval_stream,
            processing_class=processing_class,
            **kwargs,
        )
        if self.average is not None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            raise ValueError(
                f"ema_decay={args.ema_decay} averages whole parameters, which FSDP and DeepSpeed cut up; leave it out, or launch "
                "with DDP"
            )
        self.add_callback(self.progress)
        self.add_callback(LogsEndWithCheckpoints())
        self.add_callback(self.finite)
        if not args.disable_tqdm:  # without a bar, lines are printed as by any Trainer
            self.remove_callback(ProgressCallback)
            self.add_callback(TrainingBar(self.progress))
        self.add_callback(self.masking)
        if self.average is not None:
            self.add_callback(self.average)
        images = args.overlays if self.is_world_process_zero() else 0
        self.overlays = OverlayCallback(labels, images, self.progress, self.callback_handler.callbacks)
        self.add_callback(self.overlays)

    def settings(self) -> dict:
        """What decides the result of a run, beside the order of the data: a checkpoint of another is not resumed unasked."""
        return deciding_options([options for options in (self.args, *self.run_arguments) if options is not None])

    def get_train_dataloader(self) -> DataLoader:
        """The stream is this process's already, so accelerate must not shard it again."""
        workers = self.args.dataloader_num_workers
        return DataLoader(
            self.train_dataset,
            batch_size=self.args.per_device_train_batch_size,
            collate_fn=self.data_collator,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            args, model = self.args, self.model if model is None else model
            head_rate = args.learning_rate if args.head_learning_rate is None else args.head_learning_rate
            layers = self.model.config.num_hidden_layers
            groups = group_parameters(model.named_parameters(), layers, args.learning_rate, head_rate, args.layer_decay)
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(args, self.model)
            options.pop("lr", None)  # each group has its own
            self.optimizer = optimizer_class(optimizer_groups(groups), weight_decay=args.weight_decay, **options)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            head, encoder = self.args.warmup_shares()
            power = self.args.poly_power

            def factor_of(late: bool) -> Callable[[int], float]:
                start, warmup = (head, encoder) if late else (0.0, head)
                return lambda _: learning_rate_factor(self.progress.value, start, warmup, power)

            late_groups = [group["encoder"] and self.pretrained for group in optimizer.param_groups]
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [factor_of(late) for late in late_groups])
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Tensor | None]:
        """The batches of a step, and the divisors of their joint loss over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._term_means.start_step()
        images = [batch.pop("images") for batch in batches]
        for batch in batches:
            self.skipped.add(batch.pop("skipped"))
        self.finite.start_step(self.state.global_step + 1, images)
        for batch in images:
            self.trained_data.add(batch)
        config = self.model.config
        sums = [loss_normalizers(batch["class_labels"], config.num_queries, config.no_object_weight) for batch in batches]
        return batches, mean_over_processes(torch.stack(sums).sum(0).to(device)) if sums else None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ):
        outputs = model(**inputs, loss_normalizers=num_items_in_batch)
        self._head_rate = self.optimizer.param_groups[-1]["lr"]
        self.finite.add_terms(outputs.loss_terms)
        self._term_means.add(outputs.loss_terms)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Tensor | None = None) -> Tensor:
        norm = super()._get_grad_norm(model, grad_norm)
        self.finite.add_gradient_norm(norm)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the loss terms, means since the last log like `loss`, the masking probabilities and the head's rate.

        Raises:
            FloatingPointError: the loss has not been finite.
        """
        self.finite.check()
        if "loss" in logs:
            logs |= self._term_means.take()
            probabilities = self.model.attn_mask_probs.tolist()
            logs |= {f"mask_probability_{block}": round(p, 4) for block, p in enumerate(probabilities)}
            logs["progress"] = round(self.progress.value, 4)
            logs["learning_rate_head"] = self._head_rate
            logs |= self.skipped.counts()
        super().log(logs, start_time)

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        **metadata,
    ) -> None:
        """Writes the run's card and curves, as every push does before it uploads; see [`write_model_card`]."""
        if not self.is_world_process_zero():
            return
        self.save_state()  # the card is written from it
        model_args, data_args = self.run_arguments
        write_model_card(
            self.args.output_dir,
            labels=self.labels,
            task=self.task,
            args=self.args,
            model_args=model_args,
            data_args=data_args,
            name=model_name,
            model_id=self.hub_model_id or self.args.hub_model_id,
            license=license or self.args.license,
            base_model=finetuned_from,
            language=language,
            tags=tags,
            **metadata,
        )

    def push_to_hub(self, *args, **kwargs):
        """Uploads the output folder: weights, configuration, processor, card, curves and what else a run leaves there."""
        try:
            return super().push_to_hub(*args, **kwargs)
        except Exception as error:
            name, folder = self.hub_model_id or self.args.hub_model_id, self.args.output_dir
            error.add_note(
                f"{name} was not pushed. The whole run is in {folder}; when the cause is gone, upload it by\n"
                f'    hf upload {name} {folder} . --exclude "checkpoint-*"'
            )
            raise

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Scores the model masked as it will end, which is not at all unless masking is kept.

        Each process scores its own images, and only the metric's states are joined.
        """
        stream = self.eval_dataset if eval_dataset is None else eval_dataset
        with self.progress.paused(), self.finished_model():
            scores = self._score(stream)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _score(self, stream: EvaluationStream) -> dict[str, float]:
        results = predictions(
            self.model,
            self.processing_class,
            stream,
            self.task,
            self.args.per_device_eval_batch_size,
            self.threshold,
            self.accelerator.autocast,
            show_progress=self.is_world_process_zero() and not self.args.disable_tqdm,
            passes=-(-len(stream) // self.args.per_device_eval_batch_size) if self.is_fsdp_enabled else 0,
        )
        scores = score_predictions(self.overlays.passing(results, len(stream)), make_metric(self.task, self.labels))
        self.skipped.warn(stream.skipped)
        return {name: value for name, value in scores.items() if isinstance(value, float)}
