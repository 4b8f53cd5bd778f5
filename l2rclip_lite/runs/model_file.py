"""What a file of weights may hold: how it is found, written, read and checked.

A file is `model.safetensors`: what training has changed, with config and ranks as JSON in its
metadata. Its source may not be trusted. Nothing in it is executed, no path in it is followed, no
network is asked for what it names unless the caller allows that, and its tensors must fit its
config.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import create_repo, upload_folder
from pydantic import BaseModel
from torch import Tensor, nn

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, one_line, sentence
from l2rclip_lite.files import (
    NamedTensors,
    read_header,
    read_tensors,
    save_tensors,
)
from l2rclip_lite.heads.decoders import DECODERS, n_outputs
from l2rclip_lite.heads.kernel import LinearHead
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.towers.base import Towers
from l2rclip_lite.towers.hub import NotAllowedError, download
from l2rclip_lite.towers.load import load_towers

MODEL = "model.safetensors"
# drawn leaves: a head on a frozen tower for five ranks, and a tower trained on 62 percents
SHIPPED = ("leaves", "leaves-percent")
HUB = "hf-hub:"  # as open_clip and timm spell it; nothing is downloaded without it
SCALE = ".scale"  # ends the name of the step between two of a tensor's 8-bit numbers, by row
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


class Settings(BaseModel):
    """The metadata of a model file, see `ModelFile`."""

    config: dict[str, Any]
    ranks: dict[str, Any]
    decoder: str = "softmax"
    commits: dict[str, str] = {}


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file.

    Args:
        config: How the model is built.
        ranks: Its label space.
        tensors: What training may have changed, or the whole state; see `Towers.rebuildable`.
        decoder: How a kernel head is read; see `DECODERS`.
        commits: By repository on the Hugging Face hub, the commit that weights and tokenizer came
            from.
    """

    config: Config
    ranks: Ranks
    tensors: NamedTensors
    decoder: str = "softmax"
    commits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read_for(cls, file: Path, towers: Towers) -> "ModelFile":
        """Read the file of a model on these towers; tensors of 16 or 8 bits become float32.

        Raises:
            InputError: A damaged file, or one that `save_pretrained` did not write.
            ValueError: See `check_shapes` and `as_float32`.
        """
        header = cls.read_header(file)
        header.check_shapes(towers)  # before memory is taken
        numbers = as_float32(read_tensors(file)[0])
        return replace(header, tensors={name: numbers[name] for name in header.tensors})

    @classmethod
    def read_header(cls, file: Path) -> "ModelFile":
        """Return what `read_for` returns, with tensors on the device "meta": names and shapes.

        Raises:
            InputError: A damaged file, or one that `save_pretrained` did not write.
        """
        tensors, metadata = read_header(file)
        with one_sentence(file):
            settings = Settings.model_validate_json(metadata.get("l2rclip", ""))
            if settings.decoder not in DECODERS:
                raise ValueError(f"its decoder {settings.decoder!r} does not exist")

            config = Config.from_dict(settings.config)
            shapes = {}
            for name, value in tensors.items():
                # prompts that nobody trained are the plain sentences: `rank_features` has them
                is_plain = name.startswith("prompts.") and config.stage1_epochs() == 0
                if not (is_plain or is_step(name, tensors)):
                    shapes[name] = value

            return cls(
                config=config,
                ranks=Ranks.from_dict(settings.ranks),
                tensors=shapes,
                decoder=settings.decoder,
                commits=settings.commits,
            )

    def write(self, file: Path) -> None:
        """Write the file atomically."""
        state = {
            "config": self.config.to_dict(),
            "ranks": self.ranks.to_dict(),
            "decoder": self.decoder,
            "commits": dict(self.commits),
        }
        save_tensors(file, self.tensors, {"l2rclip": json.dumps(state)})

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
        """Return an empty kernel head of the size that the file has, or None."""
        weight = self.tensors.get("head.weight")
        if weight is None:
            return None
        outputs = n_outputs(self.decoder, len(self.ranks))
        return LinearHead(len(weight) - 1, outputs, self.decoder)

    def load_towers(
        self, towers: str | None, weights: str | Path | None, *, allow_download: bool
    ) -> Towers:
        """Load the towers that the file names; a file of which only the header was read will do.

        Where the file holds their weights, they have the right shapes and random numbers, for the
        caller to fill. The file may name `mini`, `tiny/random`, towers whose weights it holds, and
        those whose weights are on this machine.

        Args:
            towers: Other towers that the caller names.
            weights: A local file of weights that the caller names.
            allow_download: Whether towers that the file names may be downloaded.

        Raises:
            NotAllowedError: The file asks for more; the sentence says how to allow it.
            InputError: Towers that cannot be had, or a state that does not fit them.
        """
        config = self.config
        name = towers or config.towers
        if self.tower_state:
            return load_towers(
                name,
                state=self.tower_state,
                image_size=config.image_size,
                seed=config.seed,
                allow_download=allow_download,
                commits=self.commits,
            )

        if towers is None and weights is None:
            if config.weights is not None:
                raise NotAllowedError(
                    f"its towers need the weights of {config.weights!r}, and a path in a file is "
                    "not followed; pass weights=FILE."
                )
            if name.endswith("/random") and name != "tiny/random":
                raise NotAllowedError(
                    f"it names the towers {name!r} without holding their weights; pass "
                    f"towers={name!r} to build them at random all the same."
                )
        return load_towers(
            name,
            weights=weights,
            image_size=config.image_size,
            seed=config.seed,
            allow_download=allow_download or towers is not None,
            commits=self.commits,
        )

    def check_shapes(self, towers: Towers) -> None:
        """Refuse tensors that are not those of the model, before memory is taken for them.

        Raises:
            ValueError: A tensor is missing, is none of this model, or does not fit config, ranks
                and towers.
        """
        expected = self._expected_shapes(towers)
        for name, shape in expected.items():
            if name not in self.tensors or tuple(self.tensors[name].shape) != shape:
                raise ValueError(f"{name} is missing, or not of the shape {shape}")
        unknown = sorted(self.tensors.keys() - expected.keys())
        if unknown:
            raise ValueError(f"{unknown[0]} is not a tensor of this model")

    def _expected_shapes(self, towers: Towers) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the file of such a model holds, by name."""
        config = self.config
        shapes: dict[str, tuple[int, ...]] = {
            "temperature": (),
            "conformal": (),
            "rank_features": (len(self.ranks), towers.dim),
        }
        with torch.device("meta"):  # names and shapes cost no memory
            head = self.head()
            if head is not None:
                shapes |= _shapes("head.", head)
            if self.has_prompts:
                shapes["prompts.context"] = (config.context_length, towers.width)
            if self.has_prompts and config.controls.rankformer:
                rankformer = RankFormer(
                    towers.width,
                    heads=config.heads,
                    hidden=config.hidden,
                    depth=config.depth,
                    learn_alpha=config.controls.learn_alpha,
                )
                shapes |= _shapes("prompts.rankformer.", rankformer)

        for name, shape in _shapes("towers.", towers).items():
            if self.tower_state or must_be_stored(name, config):
                shapes[name] = shape
        return shapes


def _shapes(prefix: str, module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a module's state, by its name behind a prefix."""
    state = module.state_dict()
    return {f"{prefix}{name}": tuple(value.shape) for name, value in state.items()}


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
        if is_step(name, tensors):
            continue

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


def is_step(name: str, tensors: NamedTensors) -> bool:
    """Return whether a tensor holds the steps of another one, of 8-bit numbers."""
    return name.endswith(SCALE) and name.removesuffix(SCALE) in tensors


def must_be_stored(name: str, config: Config) -> bool:
    """Return whether a file must hold a tensor of a model, as `load_towers` cannot restore it.

    Example:
        >>> [must_be_stored(f"towers.{side}.proj", Config()) for side in ("image", "text")]
        [True, False]
    """
    untouched = config.image_side == "kernel" and config.start is None
    return not name.startswith("towers." if untouched else "towers.text.")


def read_settings(file: Path) -> tuple[Config, Ranks]:
    """Return config and ranks of a model file; no tensor is read.

    Raises:
        InputError: A damaged file, or one that `save_pretrained` did not write.
    """
    header = ModelFile.read_header(file)
    return header.config, header.ranks


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
        try:
            return download(str(name).removeprefix(HUB), MODEL, revision)
        except (OSError, ValueError) as error:  # also: not here, and the hub cannot be asked
            reason = one_line(str(error))[:300]
            fix = "check the name, or try again with a network"
            raise InputError(f"{name}: no {MODEL} ({reason}); {fix}.") from error

    file = Path(name) / MODEL
    if str(name) in SHIPPED and not os.path.isfile(file):
        file = Path(__file__).parents[1] / f"{name}.safetensors"
    if not os.path.isfile(file):  # `Path.is_file` would raise on a name that is too long
        advice = f"give the --out of a finished fit, or {' or '.join(SHIPPED)}"
        raise InputError(f"{name}: no {MODEL} here; {advice}.")
    return file


def upload(folder: str, name: str, *, private: bool | None) -> str:
    """Publish a folder on the Hugging Face hub, and return the commit.

    It is not done by huggingface_hub's mixin, which deletes a run's config.json, and loads a pickle
    where a repository has no safetensors.

    Args:
        folder: What is published.
        name: `USER/NAME`; made where it is not there yet.
        private: See `L2RCLIP.push_to_hub`.

    Raises:
        InputError: The hub cannot be reached, or does not take it.
    """
    try:
        create_repo(name, private=private, exist_ok=True)
        commit = upload_folder(repo_id=name, folder_path=folder, commit_message="Model and card")
    except Exception as error:  # huggingface_hub passes on those of the library it asks by
        reason = one_line(str(error))[:300].rstrip(".") or type(error).__name__
        fix = "give USER/NAME, and call `hf auth login` before"
        raise InputError(f"{name}: cannot be published ({reason}); {fix}.") from error
    return str(commit.oid)


@contextmanager
def one_sentence(file: Path, **named: object) -> Iterator[None]:
    """Turn whatever a file brings about into one sentence that names it.

    Args:
        file: The model file.
        named: Arguments of the caller, which may be the fault in its place; None is nothing.

    Raises:
        InputError: In the place of any other error.
    """
    try:
        yield
    except NotAllowedError as error:
        raise InputError(f"{file}: {error}") from error
    except Exception as error:  # a file may be anything
        if isinstance(error, InputError) and str(error).startswith(f"{file}: "):
            raise  # it says all

        reason = sentence(error)[:300].rstrip(".")
        blamed = [f"{key}={str(value)!r:.99}" for key, value in named.items() if value is not None]
        problem = f"{file}: cannot be used"
        fix = "restore it, or train again"
        if blamed:
            problem = f"{problem} with {' and '.join(blamed)}"
            fix = "correct that, or leave it out"
        raise InputError(f"{problem} ({reason}); {fix}.") from error
