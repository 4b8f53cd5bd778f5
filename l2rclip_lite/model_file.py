"""What a file of weights may hold: how it is found, written, read and checked.

A file is `model.safetensors`: what training has changed, with config and ranks as JSON in its
metadata. Its source may not be trusted. Nothing in it is executed, no path in it is followed, no
network is asked for what it names unless the caller allows that, and its tensors must fit its
config.

Training may begin with the file of a relative: a run on images that are like yours, such as counted
apples where pears are to be counted. It gives the image tower, and where both runs have prompts,
context vectors and RankFormer. Its ranks and sentences stay behind.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import torch
from huggingface_hub import create_repo, hf_hub_download, upload_folder
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, NotAllowedError, in_one_sentence
from l2rclip_lite.files import NamedTensors, read_tensors, save_tensors
from l2rclip_lite.heads import LinearHead, n_outputs
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers import load_towers
from l2rclip_lite.towers.base import Towers

MODEL = "model.safetensors"
# drawn leaves: a head on a frozen tower for five ranks, and a tower trained on 62 percents
SHIPPED = ("leaves", "leaves-percent")
HUB = "hf-hub:"  # as open_clip and timm spell it; nothing is downloaded without it
UNUSABLE = ("cannot be used", "restore it, or train again")  # what is wrong with a file, its fix
SCALE = ".scale"  # ends the name of the step between two of a tensor's 8-bit numbers, by row
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
TOWER = "towers.image."  # with the scale, begins the names of what every relative gives
SCALE_OF_TOWERS = "towers.logit_scale"
OF_PROMPTS = ("context_length", "axis", "heads", "hidden", "depth")  # settings


class ModelFile(BaseModel):
    """The content of a model file; but for its tensors, it is the JSON of the metadata.

    Args:
        config: How the model is built.
        ranks: Its label space.
        decoder: How a linear head is read; see `DECODERS`.
        commits: By repository on the Hugging Face hub, the commit that weights and tokenizer came
            from.
        tensors: What training may have changed, or the whole state; see `Towers.rebuildable`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    config: Config
    ranks: Ranks
    decoder: str = Field("softmax", pattern="^(softmax|coral|corn|normal)$")
    commits: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{40}$")]] = {}  # no path out of it
    tensors: dict[str, Tensor] = Field({}, exclude=True)

    @classmethod
    def read(cls, file: Path) -> "ModelFile":
        """Read a file; tensors of 16 or 8 bits become float32.

        Raises:
            InputError: A damaged file, or one that `save_pretrained` did not write.
        """
        tensors, metadata = read_tensors(file)
        with in_one_sentence(file, *UNUSABLE):
            content = cls.model_validate_json(metadata.get("l2rclip", ""))
            content.tensors = as_float32(tensors)
            if content.config.stage1_epochs() == 0:
                # prompts that nobody trained are the plain sentences: `rank_features` has them
                content.tensors.pop("prompts.context", None)
            return content

    def write(self, file: Path) -> None:
        """Write the file atomically."""
        save_tensors(file, self.tensors, {"l2rclip": self.model_dump_json()})

    @property
    def has_prompts(self) -> bool:
        """Whether its texts come from prompts; those of a baseline are fixed."""
        return any(name.startswith("prompts.") for name in self.tensors)

    @property
    def tower_state(self) -> dict[str, Tensor]:
        """The state of both towers where the file holds the text tower, else an empty one."""
        if not any(name.startswith("towers.text.") for name in self.tensors):
            return {}
        towers = [name for name in self.tensors if name.startswith("towers.")]
        return {name.removeprefix("towers."): self.tensors[name] for name in towers}

    def head(self) -> LinearHead | None:
        """Return an empty linear head of the size that the file has, or None."""
        weight = self.tensors.get("head.weight")
        if weight is None:
            return None
        outputs = n_outputs(self.decoder, len(self.ranks))
        return LinearHead(len(weight) - 1, outputs, self.decoder)

    def load_towers(self, weights: str | Path | None, *, allow_download: bool) -> Towers:
        """Load the towers that the file names.

        Where the file holds their weights, they have the right shapes and random numbers, for the
        caller to fill. The file may name `mini`, `tiny/random`, towers whose weights it holds, and
        those whose weights are on this machine.

        Args:
            weights: A local file of weights that the caller names.
            allow_download: Whether towers that the file names may be downloaded.

        Raises:
            NotAllowedError: The file asks for more; the sentence says how to allow it.
            InputError: Towers that cannot be had, or a state that does not fit them.
        """
        config = self.config
        state = self.tower_state or None
        if state is None and weights is None:
            if config.weights is not None:
                raise NotAllowedError(
                    f"its towers need the weights of {config.weights!r}, and a path in a file is "
                    "not followed; pass weights=FILE."
                )
            if config.towers.endswith("/random") and config.towers != "tiny/random":
                problem = f"it names the towers {config.towers!r} without holding their weights"
                raise InputError(f"{problem}; ask for the whole file.")

        return load_towers(
            config.towers,
            weights=weights if state is None else None,
            state=state,
            image_size=config.image_size,
            seed=config.seed,
            allow_download=allow_download,
            commits=self.commits,
        )

    def fill(self, model: nn.Module) -> None:
        """Give a model that was built as the file says all that the file holds.

        Raises:
            ValueError: See `load_into`.
        """
        is_whole = bool(self.tower_state)
        load_into(model, self.tensors, lambda name: is_whole or must_be_stored(name, self.config))


def load_into(model: nn.Module, tensors: NamedTensors, is_needed: Callable[[str], bool]) -> None:
    """Load tensors into a model, which keeps what they lack.

    Args:
        model: What they are for.
        tensors: By their names in its state.
        is_needed: Whether they may not lack a name.

    Raises:
        ValueError: A tensor is missing, is none of this model, or has another shape.
    """
    shapes = {name: value.shape for name, value in tensors.items()}
    for name, value in model.state_dict().items():
        if name not in shapes and not is_needed(name):
            continue
        if shapes.pop(name, None) != value.shape:
            raise ValueError(f"{name} is missing, or not of the shape {tuple(value.shape)}")
    if shapes:
        raise ValueError(f"{next(iter(shapes))} is not a tensor of this model")
    model.load_state_dict(tensors, strict=False)


def as_float32(tensors: NamedTensors) -> dict[str, Tensor]:
    r"""Return the tensors of a file as float32; counters and positions stay whole numbers.

    Of 8-bit numbers, which `leaves-percent` has, the file holds the step of each row:

    $$x = s q$$

    Args:
        tensors: By name.

    Raises:
        ValueError: A number that is not finite, another type, or 8 bits without steps.

    Example:
        >>> eight_bits = {"w": torch.tensor([[4, -2]], dtype=torch.int8), "w.scale": torch.ones(1)}
        >>> as_float32(eight_bits)
        {'w': tensor([[ 4., -2.]])}
    """
    numbers = {}
    for name, value in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue  # the steps of another one

        step = tensors.get(name + SCALE)
        if value.dtype == torch.int8 and step is not None and step.shape == value.shape[:1]:
            value = value * step.reshape(-1, *[1] * (value.ndim - 1))
        if value.dtype != torch.int64:
            if value.dtype not in FLOATS or not value.isfinite().all():
                problem = "must hold finite numbers of type float32, float16 or bfloat16"
                raise ValueError(f"{name} {problem}")
            value = value.float()
        numbers[name] = value
    return numbers


def must_be_stored(name: str, config: Config) -> bool:
    """Return whether a file must hold a tensor of a model, as `load_towers` cannot restore it.

    Example:
        >>> [must_be_stored(f"towers.{side}.proj", Config()) for side in ("image", "text")]
        [True, False]
    """
    untouched = config.image_side == "kernel" and config.start is None
    return not name.startswith("towers." if untouched else "towers.text.")


def find_model_file(name: str | Path, revision: str = "main") -> Path:
    """Return the file of a model: of a run directory, of the hub, or of the package.

    Args:
        name: A run directory, `"hf-hub:USER/NAME"`, or one of `SHIPPED`; a run directory of that
            name comes first.
        revision: Of a repository on the hub.

    Raises:
        InputError: There is none.
    """
    if str(name).startswith(HUB):
        fix = "check the name, or try again with a network"
        with in_one_sentence(name, f"no {MODEL}", fix):
            repository = str(name).removeprefix(HUB)
            return Path(hf_hub_download(repository, MODEL, revision=revision))

    file = Path(name) / MODEL
    if str(name) in SHIPPED and not os.path.isfile(file):
        file = Path(__file__).with_name(f"{name}.safetensors")
    if not os.path.isfile(file):  # `Path.is_file` would raise on a name that is too long
        advice = f"give the --out of a finished fit, or {' or '.join(SHIPPED)}"
        raise InputError(f"{name}: no {MODEL} here; {advice}.")
    return file


def upload(folder: str, name: str) -> str:
    """Publish a folder on the Hugging Face hub, and return the commit.

    It is not done by huggingface_hub's mixin, which deletes a run's config.json, and loads a pickle
    where a repository has no safetensors.

    Args:
        folder: What is published.
        name: `USER/NAME`; made where it is not there yet.

    Raises:
        InputError: The hub cannot be reached, or does not take it.
    """
    fix = "give USER/NAME, and call `hf auth login` before"
    with in_one_sentence(name, "cannot be published", fix):
        create_repo(name, exist_ok=True)
        commit = upload_folder(repo_id=name, folder_path=folder, commit_message="Model and card")
        return str(commit.oid)


# --- where training begins: with what an earlier run has learned of a relative of the data -------


def begin(model: nn.Module, config: Config) -> None:
    """Give a fresh model what an earlier run has learned.

    Args:
        model: An `L2RCLIP` on the towers that both runs name.
        config: Its settings, which name the run; see `Config.start`.

    Raises:
        InputError: The run cannot be used, has other towers, or other prompts.
    """
    file = find_model_file(config.start or "")
    start = ModelFile.read(file)
    settings: Sequence[str] = ()
    prefixes: tuple[str, ...] = (TOWER, SCALE_OF_TOWERS)
    if start.has_prompts and config.stage1_epochs() > 0:
        settings = OF_PROMPTS
        prefixes += ("prompts.",)
    _check_start(file, start, config, settings)

    taken = {name: value for name, value in start.tensors.items() if name.startswith(prefixes)}
    with in_one_sentence(file, *UNUSABLE):
        load_into(model, taken, lambda name: name.startswith(prefixes))


def _check_start(file: Path, start: ModelFile, ours: Config, of_prompts: Sequence[str]) -> None:
    """Refuse a start that a model cannot begin with.

    Args:
        file: The file of the start.
        start: What is in it.
        ours: The settings of the model.
        of_prompts: Settings of the prompts, if the model takes them over.
    """
    theirs = start.config
    has_tower = any(name.startswith(TOWER) for name in start.tensors)
    if not (has_tower and must_be_stored(TOWER, theirs)):  # a file may hold more than it must
        problem = "its image tower was never trained, so there is nothing to begin with"
        raise InputError(f"{file}: {problem}; fit the relative with --image-side tower.")

    drawn = ["seed"] if ours.towers.endswith("/random") else []
    for setting in ("towers", "weights", *drawn, *of_prompts):
        value = getattr(theirs, setting)
        if value != getattr(ours, setting):
            option = setting.replace("_", "-")
            cure = f"give --{option} {value}"
            if setting in of_prompts:
                cure += ", or --epochs1 0"
            problem = f"its {option} is {value}, and not {getattr(ours, setting)}"
            raise InputError(f"{file}: {problem}; {cure}.")
