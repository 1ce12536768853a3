"""`Trainer` for EoMT: one stream a process, exact loss normalisation over accumulated batches, checkpoints that resume exactly.

What a step, a checkpoint, an evaluation and an end consist of is in the parts that the trainer is given. Here they are tied to
the calls that transformers' Trainer makes. Four of its private methods are overridden, each with its reason.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import ProgressCallback, Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput

from eomt.collectives import mean_over_processes
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.evaluation_stream import EvaluationStream
from eomt.train_scripts.data.training_collator import TrainingCollator
from eomt.train_scripts.data.training_stream import TrainingStream
from eomt.train_scripts.evaluation.checkpoints import checkpoint_of, is_checkpoint_folder
from eomt.train_scripts.training.adapters import FOLDER as ADAPTER
from eomt.train_scripts.training.adapters import check_adapter
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.best_model import LaterOfEqualScores
from eomt.train_scripts.training.feature_cache import FeatureCache
from eomt.train_scripts.training.finished_mark import FinishedMark
from eomt.train_scripts.training.finished_model import FinishedModel
from eomt.train_scripts.training.interruption import TimelyCheckpoints
from eomt.train_scripts.training.loss_terms import LossTermMeans
from eomt.train_scripts.training.model_card import RunDescription, write_model_card
from eomt.train_scripts.training.parameter_groups import optimizer_groups, rate_groups
from eomt.train_scripts.training.progress_bar import TrainingBar
from eomt.train_scripts.training.resumed_options import ResumedOptions, check_trained
from eomt.train_scripts.training.resuming import Resumption, Start
from eomt.train_scripts.training.saving import CheckpointSaver, LogsEndWithCheckpoints
from eomt.train_scripts.training.schedules import learning_rate_factor
from eomt.train_scripts.training.signals import Signals, WorkerShield
from eomt.train_scripts.training.start_size import StartSize
from eomt.train_scripts.training.validation import Validation
from eomt.train_scripts.training.weight_average import refuse_averages


class EomtTrainer(Trainer):
    """
    Trains EoMT by the paper's recipe and scores its task. [`build_trainer`] makes one from options.

    Args:
        model: to train.
        args: the run's options. They are left as they are: Trainer gets a copy.
        processing_class: the image processor, which is saved with the model.
        train_stream, eval_stream: this process's share of the samples; nothing shards them again.
        pretrained: whether the encoder is; a new one warms up with the rest.
        features: keeps those of a frozen encoder; None computes them at every step.
        start_size: makes the crops of the first part smaller; None for crops of one size.
        finished_model: what is scored and stored; it holds the masking, averages, adapters and the check of the losses.
        validation: scores the model.
        saver: completes checkpoints; it holds the clock, the record of the run and the count of rows left out.
        signals: stop the training.
        timely: asks for checkpoints by the clock and at a signal.
        finished_mark: says that the run has ended.
        resumption: chooses where the training begins.
        description: of the run, for the model card.
    """

    loss_is_scaled_for_ga = True  # the model divides by the normalizers of all accumulated batches

    def __init__(
        self,
        model: MaskClassifier,
        args: EomtTrainingArguments,
        processing_class: EomtImageProcessor,
        train_stream: TrainingStream,
        eval_stream: EvaluationStream | None,
        *,
        pretrained: bool,
        features: FeatureCache | None,
        start_size: StartSize | None,
        finished_model: FinishedModel,
        validation: Validation,
        saver: CheckpointSaver,
        signals: Signals,
        timely: TimelyCheckpoints,
        finished_mark: FinishedMark,
        resumption: Resumption,
        description: RunDescription,
    ):
        self.pretrained, self.features, self.description = pretrained, features, description
        self.start_size = start_size
        self.finished_model, self.validation = finished_model, validation
        self.saver, self.finished_mark, self.resumption = saver, finished_mark, resumption
        self.signals, self.timely = signals, timely
        self.masking, self.finite, self.average = finished_model.masking, finished_model.finite, finished_model.average
        self.adapters = finished_model.adapters
        self.progress, self.record, self.skipped = saver.progress, saver.record, saver.skipped
        self._term_means = LossTermMeans()
        self._resumed_options = ResumedOptions()
        self._head_rate = 0.0
        self._bar: TrainingBar | None = None
        super().__init__(
            model,
            args.for_trainer(),
            TrainingCollator(processing_class.image_mean, processing_class.image_std),
            train_dataset=train_stream,
            eval_dataset=eval_stream,
            processing_class=processing_class,
        )
        needs_whole = {f"ema_decay={args.ema_decay} averages": self.average, "lora merges": self.adapters}
        for does, part in needs_whole.items():
            if part is not None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
                raise ValueError(f"{does} whole parameters, which FSDP and DeepSpeed cut up; leave it out, or launch with DDP")
        if self.is_fsdp_enabled and isinstance(validation.processor, TiledProcessor):
            raise ValueError(
                "tiles: processes that share the weights must make equally many passes; give --tiles 0, or launch with DDP"
            )
        self._add_callbacks()

    def _add_callbacks(self) -> None:
        """Within an event Trainer calls them in this order: each may rely on what those before it have done."""
        handler = self.callback_handler
        handler.callbacks.insert(0, self.saver)  # before callbacks that upload checkpoints, such as W&B's: they must be complete
        self.add_callback(self._resumed_options)
        self.add_callback(self.progress)  # decides with a time budget when to save and evaluate
        self.add_callback(
            self.timely
        )  # saves in addition, where nothing is evaluated; after `saver`, since it may stop the training
        self.add_callback(LogsEndWithCheckpoints())
        self.add_callback(self.finite)
        if not self.args.disable_tqdm:  # without a bar, lines are printed as by any Trainer
            self.remove_callback(ProgressCallback)
            self._bar = TrainingBar(self.progress)
            self.add_callback(self._bar)
        self.add_callback(self.masking)
        if self.average is not None:
            self.add_callback(self.average)
        self.add_callback(LaterOfEqualScores())
        self.validation.overlays.reporters = handler.callbacks  # TensorBoard's writer is among them
        self.add_callback(self.validation.overlays)

    # ---- A step: get_batch_samples, then compute_loss for each batch, then _get_grad_norm, then log ----

    def get_train_dataloader(self) -> DataLoader:
        """The stream is this process's already, so accelerate must not shard it again."""
        workers = self.args.dataloader_num_workers
        return DataLoader(
            self.train_dataset,
            batch_size=self.args.per_device_train_batch_size,
            collate_fn=self.data_collator,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=WorkerShield(self.signals.listening),
            multiprocessing_context=self.args.dataloader_multiprocessing_context if workers else None,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            args, model = self.args, self.model if model is None else model
            groups = rate_groups(self.model, args, model.named_parameters())
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(args, self.model)
            options.pop("lr", None)  # each group has its own
            self.optimizer = optimizer_class(optimizer_groups(groups), weight_decay=args.weight_decay, **options)
            self._resumed_options.note(self.optimizer)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """A function of the training's progress for each group; the scheduler's own count of steps decides nothing."""
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
        if self.start_size is not None:
            batches = [self.start_size.of(batch, self.progress.value) for batch in batches]
        images = [batch.pop("images") for batch in batches]
        for batch in batches:
            self.skipped.add(batch.pop("skipped"))
        self.finite.start_step(self.state.global_step + 1, images)
        for batch, of_batch in zip(batches, images, strict=True):
            self.record.add(of_batch)
            if self.features is not None:
                batch["image_ids"] = [image["image_id"] for image in of_batch]
        sums = [self.model.loss_normalizers(batch["class_labels"]) for batch in batches]
        return batches, mean_over_processes(torch.stack(sums).sum(0).to(device)) if sums else None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ):
        if self.features is not None:
            inputs["encoded"] = self.features.encoded(inputs.pop("image_ids"), inputs["pixel_values"])
        outputs = model(**inputs, loss_normalizers=num_items_in_batch)
        self._head_rate = self.optimizer.param_groups[-1]["lr"]  # as it is in this step: the scheduler goes on before the log
        self.finite.add_terms(outputs.loss_terms)
        self._term_means.add(outputs.loss_terms)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Tensor | None = None) -> Tensor:
        """Overridden to read the norm of every step, which Trainer computes here and hands to no callback.

        `on_pre_optimizer_step` could only compute it a second time, from gradients that are clipped by then.
        """
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

    # ---- An evaluation: evaluate, which calls on_evaluate ----

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Scores the finished model, see [`FinishedModel`]; the clock of a time budget stands still."""
        stream = self.eval_dataset if eval_dataset is None else eval_dataset
        with self.progress.paused(), self.finished_model.applied_to(self.model):
            scores = self.validation.score(self.model, stream, self.accelerator.autocast, equal_passes=self.is_fsdp_enabled)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # ---- A checkpoint: save_model, then Trainer's other files, then _push_from_checkpoint, then on_save ----

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the finished model, see [`FinishedModel`]. Of a checkpoint it is the first file to be written."""
        folder = Path(output_dir or self.args.output_dir)
        if is_checkpoint_folder(folder):
            self.saver.begin(folder, self.args)
        with self.finished_model.applied_to(self.model):
            super().save_model(output_dir, _internal_call)
            if self.adapters is not None and self.args.should_save:
                self.adapters.save(folder / ADAPTER)
                self.processing_class.save_pretrained(folder / ADAPTER)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Overridden because Trainer uploads a checkpoint before `on_save`, which would complete it. All processes come here."""
        self.saver.complete(Path(checkpoint_folder), self.args, self.model)
        super()._push_from_checkpoint(checkpoint_folder)

    # ---- A beginning: train, which loads model, optimiser, schedule and random states, then on_train_begin ----

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs) -> TrainOutput:
        """As `Trainer.train`; `resume_from_checkpoint` may be "auto" as well. A run that had ended is not trained further.

        Raises:
            ValueError: the checkpoint can't be resumed by this run, see [`Resumption`].
        """
        start = self.resumption.start(resume_from_checkpoint, self.args.overwrite)
        self.record.positions, self.skipped.total = dict(start.record.positions), start.record.skipped
        if start.folder is not None:
            check_adapter(start.folder, self.adapters is not None)
        if start.ended:
            self.description = replace(self.description, resumed=True)
            return self._load_end(start)
        if start.folder is not None:
            self.description = replace(self.description, resumed=True)
            if self.average is None:
                refuse_averages(start.folder)
            else:
                self.average.resume_from(start.folder, self.model)
            groups = optimizer_groups(rate_groups(self.model, self.args, self.model.named_parameters()))
            check_trained(start.folder, groups, self.record.settings, start.record.settings)
            self.progress.resume(start.seconds)
            self.args.eval_on_start = False  # the score before training was taken before the interruption
        self.train_dataset.resume(self.record.positions, self.args.per_device_train_batch_size)
        self.accelerator.wait_for_everyone()  # all have read the folders that the first process is going to write
        if self.args.should_save:
            self.resumption.write_begin(self.args.overwrite)
        try:
            with self.signals:
                return super().train(resume_from_checkpoint=str(start.folder) if start.folder else None, **kwargs)
        finally:
            if self._bar is not None:
                self._bar.close()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Overridden since adapters are merged into a checkpoint's model file: what is trained of them is beside it."""
        if self.adapters is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self.adapters.load(Path(resume_from_checkpoint) / ADAPTER)

    def _load_best_model(self) -> None:
        """Overridden since it reads the model file too, see [`_load_from_checkpoint`]."""
        if self.adapters is None:
            super()._load_best_model()
        else:
            self._load_from_checkpoint(self.state.best_model_checkpoint)

    def _load_end(self, start: Start) -> TrainOutput:
        """Brings model, state and clock to the end of a run that has nothing left to train.

        A finished run's model is in the output folder. A checkpoint's is what the last evaluation scored: if it is not the best,
        that is loaded over it, as at the end of any training.
        """
        args, folder = self.args, start.folder
        finished = folder == Path(args.output_dir)
        self.state = state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
        state.is_world_process_zero, state.is_local_process_zero = self.is_world_process_zero(), self.is_local_process_zero()
        self._load_from_checkpoint(str(folder))  # Trainer's, as `_load_best_model`: it knows the formats of FSDP and of shards
        if args.load_best_model_at_end and state.best_global_step and not finished:
            # the stored path may be another, if the output folder was moved
            state.best_model_checkpoint = str(checkpoint_of(folder.parent, state.best_global_step))
            self._load_best_model()
        self.progress.total = start.seconds
        results = folder / "train_results.json"
        metrics = json.loads(results.read_text()) if finished and results.is_file() else {"train_runtime": start.seconds}
        self.accelerator.wait_for_everyone()  # all have read what the first process is going to write again
        return TrainOutput(state.global_step, metrics.get("train_loss", 0.0), metrics)

    # ---- An end: create_model_card and push_to_hub, see `end_run` ----

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
        write_model_card(
            self.args.output_dir,
            self.description,
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
