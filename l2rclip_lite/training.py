"""`fit`: the two stages of L2RCLIP, from a data set to a run directory, resumable at any moment.

Stage 1 trains RankFormer and context vectors against image features that are computed once. Stage 2 trains the image
side against text features that are computed once. Every random draw of an epoch comes from a generator seeded by (seed,
stage, epoch), so an epoch that was cut short is simply run again, bit for bit.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator, PartialState
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from l2rclip_lite import losses
from l2rclip_lite.calibration import calibrate
from l2rclip_lite.config import Config
from l2rclip_lite.data.base import SPLITS, OrdinalDataset
from l2rclip_lite.errors import InputError, TrainingError
from l2rclip_lite.kernel import MIXTURES, choose_kernel_head
from l2rclip_lite.model import L2RCLIP, ImageSide, freeze, freezing_table
from l2rclip_lite.ranks import Ranks, cyclic_permutation
from l2rclip_lite.results import Run, read_table, validation_scores, write_results
from l2rclip_lite.runs import Progress, RunDirectory, load_checkpoint, read_json, save_checkpoint
from l2rclip_lite.towers import Augment, ResizedImages

MOST_STEPS = 32  # of an epoch on cached features


@dataclass(frozen=True)
class TrainingData:
    """What the stages train on.

    Args:
        features: Unit image features of each split, by the untrained tower.
        targets: Rank index of each image.
        backbone: The same before their projection, see `Towers.backbone`: what a head on the frozen tower reads.
        images: The images of each split as bytes; may be empty where only features are at hand.
    """

    features: Mapping[str, Float[Tensor, "batch dim"]]
    targets: Mapping[str, Int[Tensor, " batch"]]
    backbone: Mapping[str, Float[Tensor, "batch wide"]]
    images: Mapping[str, ResizedImages] = field(default_factory=dict)

    @classmethod
    def load(
        cls, data: OrdinalDataset, model: L2RCLIP, *, cache: str | Path | None = None, quiet: bool = True
    ) -> "TrainingData":
        """Resize the images of a data set and encode each once with the model's image tower; see `L2RCLIP.encode`."""
        images = {split: ResizedImages(data.split(split), model.towers) for split in SPLITS}
        options: dict[str, Any] = {"workers": model.config.workers, "cache": cache, "quiet": quiet}
        backbone = {split: model.encode(images[split], backbone=True, **options) for split in SPLITS}
        targets = {split: torch.tensor(data.split(split).targets) for split in SPLITS}
        return cls.of(backbone, targets, model, images)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        backbone: Mapping[str, Float[Tensor, "batch wide"]],
        targets: Mapping[str, Int[Tensor, " batch"]],
        model: L2RCLIP,
        images: Mapping[str, ResizedImages] | None = None,
    ) -> "TrainingData":
        """What is projected from features before their projection."""
        features = {name: model.towers.project(x.to(model.device)).cpu() for name, x in backbone.items()}
        return cls(features, targets, backbone, images or {})

    def encode(self, model: L2RCLIP, split: str) -> Float[Tensor, "batch dim"]:
        """Image features of a split as they are now."""
        if model.config.image_side == "tower" and self.images:
            return model.encode(self.images[split], workers=model.config.workers)
        return self.backbone[split] if model.wide else self.features[split]

    def feature_batch_size(self, config: Config) -> int:
        """Images per step on cached features: an image costs nothing there, but each step encodes all K sentences."""
        return max(config.batch_size, math.ceil(len(self.targets["train"]) / MOST_STEPS))

    def feature_batches(self, model: L2RCLIP, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches of cached features for one epoch."""
        images, targets = self.features["train"], self.targets["train"]
        order = torch.randperm(len(targets), generator=generator)
        for index in torch.split(order, self.feature_batch_size(model.config)):
            yield images[index].to(model.device), targets[index].to(model.device)

    def batches(
        self, model: L2RCLIP, generator: torch.Generator, *, views: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches of augmented pixels for one epoch of stage 2.

        Several processes get different batches.

        Args:
            model: Whose config counts.
            generator: Decides order and augmentation.
            views: How often each image is in its batch, augmented anew.
        """
        config, device = model.config, model.device
        shuffled = torch.randperm(len(self.targets["train"]), generator=generator)
        order = torch.split(shuffled, config.batch_size)
        augment = Augment(bool(config.upside_down)) if config.augment else None
        state = PartialState()
        mine = order[state.process_index :: state.num_processes][: len(order) // state.num_processes]
        batches = [index.tolist() for index in mine]
        images = self.images["train"]
        workers = 0 if images.keep else config.workers  # what a worker keeps in memory goes with it
        for pixels, target in DataLoader(images, batch_sampler=batches, num_workers=workers):
            pixels, target = pixels.to(device).repeat(views, 1, 1, 1), target.to(device).repeat(views)
            pixels = augment(pixels, generator) if augment else pixels
            yield model.towers.normalize(pixels.float().div_(255)), target


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Learning rate of a step as a share of its peak: a linear rise, then a cosine to 0.

    Example:
        >>> [round(warmup_cosine(step, 10, 0.2), 2) for step in (0, 1, 2, 9)]
        [0.5, 1.0, 1.0, 0.04]
    """
    rise = int(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


class Stage:
    """Adam, the schedule, the checkpoint and the best epoch of one stage.

    The best epoch has the lowest RPS on the validation images; of equal ones the one with the lower MAE, then the
    earlier. RPS is proper and smooth; the MAE of a hundred answers is mostly noise. The gradient of an image tower is
    shortened to length 1 where it is longer; that of a head or of prompts is left as it is.

    Args:
        number: 1 or 2 (baselines have others); seeds the draws and names the stage in the history.
        parameters: What trains, by name.
        data: Its sizes count, and the validation targets.
        model: Ranks and config.
        lr: Peak learning rate.
        epochs: How many.
        batch_size: Images per step; None takes the config's.
        factors: Parameters whose name holds a key learn that many times faster.
        run: Where each complete epoch is kept; None keeps none.
        quiet: Whether to hide the bar and the scores of each epoch.
        on_epoch: Called with each row of the history, when the epoch is on disk.
    """

    def __init__(
        self,
        number: int,
        parameters: Mapping[str, nn.Parameter],
        data: TrainingData,
        model: L2RCLIP,
        *,
        lr: float,
        epochs: int,
        batch_size: int | None = None,
        factors: Mapping[str, float] | None = None,
        run: RunDirectory | None = None,
        quiet: bool = True,
        on_epoch: Callable[[dict[str, float]], object] | None = None,
    ) -> None:
        self.number, self.parameters, self.total, self.lr = number, dict(parameters), epochs, lr
        self.ranks, self.config, self.on_epoch = model.ranks, model.config, on_epoch
        self.target = data.targets["val"]
        size = batch_size or self.config.batch_size
        shares = 1 if batch_size else PartialState().num_processes  # cached features are not shared out
        self.steps = math.ceil(len(data.targets["train"]) / size) // shares * epochs
        if epochs and not self.steps:
            raise TrainingError("fewer batches than processes; use fewer, or a smaller --batch-size.")
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            share = next((value for key, value in (factors or {}).items() if key in name), 1.0)
            groups.setdefault(share, []).append(parameter)
        rows = [{"params": group, "peak": lr * share} for share, group in groups.items()]
        self.optimizer = torch.optim.Adam(rows, lr, weight_decay=self.config.weight_decay, fused=True)
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.best_score, self.taken = (math.inf, math.inf), 0
        self.history: list[dict[str, float]] = []
        self.losses: list[float] = []
        self.file = run.unfinished / f"stage{number}.safetensors" if run else None
        stored = self.file and load_checkpoint(self.file, self.parameters, self.best, self.optimizer)
        if stored:
            self.history, self.best_score, self.taken = stored
        shown: dict[str, Any] = {"total": self.steps, "initial": self.taken, "unit": "step", "disable": quiet}
        self.bar = Progress(desc=f"stage {number}", **shown)

    def epochs(self) -> Iterator[torch.Generator]:
        """The generator of each epoch that is still to be run: its one source of randomness."""
        for epoch in range(len(self.history), self.total):
            self.losses = []
            yield torch.Generator().manual_seed((self.config.seed * 31 + self.number) * 100_003 + epoch)
        self.bar.close()

    def step(self, loss: Float[Tensor, ""]) -> None:
        """One step down the gradient.

        Raises:
            TrainingError: A loss or a gradient that is not finite.
        """
        value = float(loss.detach())
        where = f"stage {self.number}, epoch {len(self.history) + 1}, step {len(self.losses) + 1}"
        fix = f"complete epochs are kept; use a smaller learning rate (now {self.lr:g}) with a new --out"
        if not math.isfinite(value):
            raise TrainingError(f"{where}: the loss is {value}; {fix}.")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        if not nn.utils.get_total_norm(gradients).isfinite():
            raise TrainingError(f"{where}: a gradient is not finite; {fix}.")
        # A tower that meets texts knows nothing of them, and its first gradients are much longer than later ones. Adam
        # divides by the root of their mean square: unclipped, it would take small steps for the rest of a short run.
        nn.utils.clip_grad_norm_([p for n, p in self.parameters.items() if n.startswith("towers.")], 1.0)
        share = warmup_cosine(self.taken, self.steps, self.config.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.optimizer.step()
        self.losses.append(value)
        self.taken += 1
        self.bar.update()

    def end_epoch(self, probabilities: Float[Tensor, "batch rank"]) -> None:
        """Score the validation images, remember the best epoch, and keep everything on disk.

        Args:
            probabilities: Of the validation images.

        Raises:
            TrainingError: They are not finite.
        """
        epoch = len(self.history) + 1
        if not probabilities.isfinite().all():
            raise TrainingError(f"stage {self.number}, epoch {epoch}: no finite output; learn more slowly.")
        row = {"stage": self.number, "epoch": epoch, "loss": sum(self.losses) / len(self.losses)}
        self.history.append(row | validation_scores(probabilities, self.target, self.ranks))
        score = (self.history[-1]["val_rps"], self.history[-1]["val_mae"])
        said = f"loss {row['loss']:.3f}, validation RPS {score[0]:.3f}, MAE {score[1]:.3f}"
        self.bar.say(f"stage {self.number}, epoch {epoch} of {self.total}: {said}")
        if score < self.best_score:
            self.best_score = score
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.bar.set_postfix_str(f"validation RPS {self.best_score[0]:.3f}", refresh=False)
        if self.file and PartialState().is_main_process:
            about = (self.history, self.best_score, self.taken)
            save_checkpoint(self.file, self.parameters, self.best, self.optimizer, about)
        if self.on_epoch:
            self.on_epoch(dict(self.history[-1]))

    @torch.no_grad()
    def restore_best(self) -> list[dict[str, float]]:
        """Put the best epoch's parameters back; returns the history, one row per epoch."""
        for name, value in self.best.items():
            self.parameters[name].copy_(value)
        return self.history


def train_stage1(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 1: RankFormer and context vectors learn; both towers are frozen, so image features are computed once.

    The loss is the asymmetrical contrastive loss + λ1 · the ordinal pairwise loss in its stage-1 form.

    Args:
        model: As built.
        data: Its features.
        options: `run`, `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row per epoch; the model keeps the best one.
    """
    config, controls = model.config, model.config.controls
    if not config.epochs1 or model.prompts is None:
        return []
    values = model.ranks.values_tensor().to(model.device)
    if controls.order == "shuffled":
        values = values[cyclic_permutation(len(values))]
    compared = {"symmetric": controls.symmetric, "blind": controls.order == "blind"}
    learns, size = freeze(model, "stage 1"), data.feature_batch_size(config)
    budget: dict[str, Any] = {"lr": config.lr1, "epochs": config.epochs1, "batch_size": size}
    stage = Stage(1, learns, data, model, **budget, **options)
    for generator in stage.epochs():
        for z, y in data.feature_batches(model, generator):
            t = model.prompts(model.towers)
            if controls.contrastive == "plain":  # CLIP's is the mean of two terms, ours their sum
                loss = 2 * losses.contrastive_loss(z, t[y], model.scale)
            else:
                loss = losses.asymmetrical_contrastive_loss(z, t, y, model.scale)
            if config.lambda1:
                ordinal = losses.ordinal_pairwise_loss_stage1(z, t[y], t[y], values[y], **compared)
                loss = loss + config.lambda1 * ordinal
            stage.step(loss)
        model.refresh()
        stage.end_epoch(model.probabilities(data.features["val"]))
    history = stage.restore_best()
    model.refresh()
    return history


def train_stage2(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 2: the image tower learns; the text side is frozen, so texts are computed once.

    The loss is cross-entropy image → text + λ_tight · tightness − λ_push · diversity + λ_rps · the ranked probability
    score; with λ_tight = λ_push it holds the ordinal pairwise loss.

    Args:
        model: After stage 1.
        data: With its images.
        options: `run`, `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row per epoch; the model keeps the best one.
    """
    config, controls = model.config, model.config.controls
    if not config.epochs2:
        return []
    push = {name: getattr(controls, name) for name in ("normalise", "order", "push_power")}
    texts, values = model.rank_features, model.ranks.values_tensor().to(model.device)
    learns, lr, epochs = freeze(model, "stage 2"), config.lr2 or model.towers.image_lr, config.epochs2
    stage = Stage(2, learns, data, model, lr=lr, epochs=epochs, **options)
    encode = ImageSide(model)
    if PartialState().num_processes > 1:
        encode = Accelerator().prepare(encode)  # the processes average their gradients
    for generator in stage.epochs():
        for x, y in data.batches(model, generator):
            z = encode(x)
            logits = model.scale * z @ texts.T
            loss = F.cross_entropy(logits, y)
            if config.lambda_tight:
                loss = loss + config.lambda_tight * losses.tightness(z, texts, y)
            if config.lambda_push:
                loss = loss - config.lambda_push * losses.diversity(z, texts, y, values, **push)
            if config.lambda_rps:
                loss = loss + config.lambda_rps * losses.ranked_probability_loss(logits, y)
            stage.step(loss)
        stage.end_epoch(model.probabilities(data.encode(model, "val")))
    return stage.restore_best()


def train_kernel(model: L2RCLIP, data: TrainingData, **options: Any) -> list[dict[str, float]]:
    """Stage 2 for a frozen image tower: the language-kernel head, in seconds and without a learning rate.

    Args:
        model: After stage 1.
        data: Its features.
        options: `quiet` and `on_epoch` of `Stage`.

    Returns:
        One row; the model keeps the head.
    """
    known, target = model.config.controls.kernel, data.targets
    menu = {"chosen": tuple(MIXTURES), "language": ("nothing", "text")}.get(known, (known,))
    how: Any = {"mixtures": [MIXTURES[name] for name in menu], "quiet": options.get("quiet", True)}
    chosen = choose_kernel_head(data.backbone, target, model.rank_features, model.ranks, **how)
    model.head = chosen.head.to(model.device)
    found = model.probabilities(data.backbone["val"])
    knows = dict(zip(("text", "numbers", "identity"), chosen.mixture, strict=True))
    row = {"stage": 2, "epoch": 1} | knows | validation_scores(found, target["val"], model.ranks)
    if on_epoch := options.get("on_epoch"):
        on_epoch(row)
    return [row]


def fit(
    data: OrdinalDataset | Sequence[Any],
    config: Config,
    out: str | Path,
    *,
    ranks: Ranks | None = None,
    source: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    quiet: bool = False,
    on_epoch: Callable[[dict[str, float]], object] | None = None,
) -> Run:
    """Train L2RCLIP on a data set and write a run directory; go on where an earlier call was stopped.

    Under `accelerate launch`, all processes train the image tower of one run together; the first writes the files.

    Args:
        data: Three splits, or three map-style datasets (train, val, test) of (image, rank index). Validation chooses
            epochs, test is only reported.
        config: Everything a user sets.
        out: The run directory. An unfinished run of the same config and data is resumed, a finished one is loaded.
        ranks: The label space, where `data` is three datasets of your own.
        source: Arguments of `load_dataset`, recorded so that `l2rclip evaluate` can read the data again.
        cache: A folder that keeps image features of the untrained tower for other runs; see `L2RCLIP.encode`.
        quiet: Whether to hide the table of what trains, on stdout, and bars and scores of epochs, on stderr.
        on_epoch: Called after each new epoch with its row of the history: `stage`, `epoch`, `val_rps` and so on, and `loss`
            but of a kernel head. What it raises stops the run; the same call goes on after that epoch.

    Returns:
        Model, metrics and history.

    Raises:
        InputError: An image that cannot be read; a directory that holds another run, or cannot be written.
        TrainingError: A loss that is not finite. What was computed is kept in `out`.
    """
    run = RunDirectory(out)
    if not isinstance(data, OrdinalDataset):
        if ranks is None:
            raise InputError("fit: datasets of your own need ranks=Ranks(...), the meaning of their indices.")
        data = OrdinalDataset.from_datasets(data, ranks)
    if config.upside_down is None:
        config = replace(config, upside_down=not data.upright)
    device, first = choose_device(config), PartialState().is_main_process
    with threadpool_limits(config.threads), run.writing() if first else nullcontext():
        if first:
            run.claim(data, config, source)
        PartialState().wait_for_everyone()
        if not run.metrics.is_file():  # it is written last
            model = L2RCLIP.build(data.ranks, config, data.image_size).to(device)
            options = {"run": run, "quiet": quiet or not first, "on_epoch": on_epoch if first else None}
            found = _both_stages(model, data, cache, options)
            if first:
                write_results(run, model, data, *found)
            PartialState().wait_for_everyone()
        elif first:
            run.clean()  # of a run that was killed after its last file
    epochs: Any = read_table(run.history).to_dict(orient="records")
    return Run(L2RCLIP.from_pretrained(run.folder), read_json(run.metrics), epochs, run.folder)


def _both_stages(model: L2RCLIP, data: OrdinalDataset, cache: Any, options: Any) -> tuple[Any, ...]:
    """History, probabilities and seconds, as `write_results` takes them; `options` are those of `Stage`."""
    if not options["quiet"]:
        run, again = options["run"], "if it is stopped, give the same command again"
        state = "resuming after the last complete epoch" if run.unfinished.exists() else "a new run"
        print(f"{freezing_table(model)}\n\n{run.folder}: {state}; {again}\n", flush=True)
    seconds, began = {}, time.monotonic()
    images = TrainingData.load(data, model, cache=cache, quiet=options["quiet"])
    seconds["encoding"], began = time.monotonic() - began, time.monotonic()
    history = train_stage1(model, images, **options)
    calibrate(model, images.features["val"], images.targets["val"])
    answers = {"test_after_stage1": model.probabilities(images.features["test"])}
    model.temperature.fill_(1)  # stage 2 chooses its epoch without one
    seconds["stage 1"], began = time.monotonic() - began, time.monotonic()
    train = train_kernel if model.config.image_side == "kernel" else train_stage2
    history = history + train(model, images, **options)
    seconds["stage 2"] = time.monotonic() - began
    calibrate(model, images.encode(model, "val"), images.targets["val"])
    answers |= {split: model.probabilities(images.encode(model, split)) for split in ("val", "test")}
    return history, answers, seconds


def choose_device(config: Config) -> torch.device:
    """Where to train; asking for a GPU that is not there is an error, not a slow surprise."""
    if config.device == "cpu" and "WORLD_SIZE" not in os.environ:
        return torch.device("cpu")  # accelerate decides once per process, and would keep to it
    device: torch.device = Accelerator(cpu=config.device == "cpu").device
    if config.device not in ("auto", device.type):
        raise TrainingError(f"device: no {config.device!r} device is visible here; use --device cpu or auto.")
    return device
