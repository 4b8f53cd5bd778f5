"""Where training begins: with what an earlier run has learned of a relative of the data.

A relative is a set of images that are like yours, such as counted apples where pears are to be
counted. Its run gives the image tower, and where both runs have prompts, context vectors and
RankFormer. Its ranks and sentences stay behind.
"""

from pathlib import Path

import torch
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of
from l2rclip_lite.runs.model_file import ModelFile, find_model_file, must_be_stored, one_sentence
from l2rclip_lite.towers.base import Towers

# of the models that ship; the image tower of `leaves` was never trained
RELATIVES = ("leaves-percent",)
TOWER = ("towers.image.", "towers.logit_scale")  # begins the names of what every relative gives
PROMPTS = "prompts."
OF_PROMPTS = ("context_length", "axis", "heads", "hidden", "depth")  # settings


def find_start(name: str) -> Path:
    """Return the file of the model that training begins with.

    Raises:
        InputError: There is none.
    """
    try:
        return find_model_file(name, shipped=RELATIVES)
    except InputError as error:
        raise InputError(f"start: {error}") from error


def start_digest(config: Config) -> str | None:
    """Return the SHA-256 of the model that training begins with; None where there is none."""
    if config.start is None:
        return None
    return sha256_of(find_start(config.start))


def start_tensors(config: Config, towers: Towers) -> dict[str, Tensor]:
    """Return what an earlier run has learned, by its names in the state of a model.

    Args:
        config: Of the model that begins with it; it names the run, see `Config.start`.
        towers: Those that both runs name, as built.

    Raises:
        InputError: The run cannot be used, has other towers, or other prompts.
    """
    file = find_start(config.start or "")
    start = _read(file, config, towers)
    if not same_text_tower(start, config, towers):
        problem = f"its text tower has the weights of {start.config.weights!r}"
        cure = "name that file by --weights" if start.config.weights else "leave out --weights"
        raise InputError(f"{file}: {problem}; {cure}.")

    carried = {key: value for key, value in start.tensors.items() if key.startswith(TOWER)}
    if start.has_prompts and config.stage1_epochs() > 0:
        carried |= _prompts_of(start, config, file)
    return carried


def _read(file: Path, ours: Config, towers: Towers) -> ModelFile:
    """Return the model that training begins with, whole and on the same towers.

    Raises:
        InputError: It is damaged, has other towers, or was trained on a frozen image tower.
    """
    header = ModelFile.read_header(file)
    image_tower = TOWER[0]
    is_trained = must_be_stored(image_tower, header.config)  # a file may hold more than it must
    if not (is_trained and any(key.startswith(image_tower) for key in header.tensors)):
        problem = "its image tower was never trained, so there is nothing to begin with"
        raise InputError(f"{file}: {problem}; fit the relative with --image-side tower.")

    theirs = header.config
    if theirs.towers != ours.towers:
        problem = f"its towers are {theirs.towers!r}, and not {ours.towers!r}"
        raise InputError(f"{file}: {problem}; give --towers {theirs.towers}.")
    if ours.towers.endswith("/random") and theirs.seed != ours.seed:
        problem = f"its towers were drawn with the seed {theirs.seed}"
        raise InputError(f"{file}: {problem}; give --seed {theirs.seed}.")

    size = towers.image_size
    with one_sentence(file, image_size=None if size == theirs.image_size else size):
        return ModelFile.read_for(file, towers)


def same_text_tower(start: ModelFile, config: Config, towers: Towers) -> bool:
    """Return whether both models read sentences by the same weights, whatever file had them."""
    if not start.tower_state:  # the name of the towers says which they are
        return config.weights is None

    state = towers.state_dict()
    text = {key: value for key, value in start.tower_state.items() if key.startswith("text.")}
    return all(torch.equal(state[key].cpu(), value) for key, value in text.items())


def _prompts_of(start: ModelFile, config: Config, file: Path) -> dict[str, Tensor]:
    """Return context vectors and RankFormer of a run.

    Raises:
        InputError: Those of another shape, or attention along another axis.
    """
    for setting in OF_PROMPTS:
        theirs = getattr(start.config, setting)
        ours = getattr(config, setting)
        if theirs != ours:
            option = setting.replace("_", "-")
            problem = f"its {option} is {theirs}, and not {ours}"
            raise InputError(f"{file}: {problem}; give --{option} {theirs}, or --epochs1 0.")
    return {key: value for key, value in start.tensors.items() if key.startswith(PROMPTS)}
