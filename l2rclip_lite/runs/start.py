"""Where training begins: with what an earlier run has learned of a relative of the data.

A relative is a set of images that are like yours, such as counted apples where pears are to be
counted. Its run gives the image tower, and where both runs have prompts, context vectors and
RankFormer. Its ranks and sentences stay behind.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError, in_one_sentence
from l2rclip_lite.files import sha256_of
from l2rclip_lite.runs.model_file import (
    UNUSABLE,
    ModelFile,
    fill,
    find_model_file,
    must_be_stored,
)

TOWER = "towers.image."  # with the scale, begins the names of what every relative gives
SCALE_OF_TOWERS = "towers.logit_scale"
OF_PROMPTS = ("context_length", "axis", "heads", "hidden", "depth")  # settings


def start_digest(config: Config) -> str | None:
    """Return the SHA-256 of the model that training begins with; None where there is none."""
    return None if config.start is None else sha256_of(find_model_file(config.start))


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
    takes_prompts = start.has_prompts and config.stage1_epochs() > 0
    _check_start(file, start, config, OF_PROMPTS if takes_prompts else ())

    prefixes = (TOWER, SCALE_OF_TOWERS, "prompts.") if takes_prompts else (TOWER, SCALE_OF_TOWERS)
    taken = {name: value for name, value in start.tensors.items() if name.startswith(prefixes)}
    with in_one_sentence(file, *UNUSABLE):
        fill(model, taken, lambda name: name.startswith(prefixes))


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
