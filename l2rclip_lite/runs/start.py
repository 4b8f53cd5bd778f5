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

TOWER = ("towers.image.", "towers.logit_scale")  # begins the names of what every relative gives
PROMPTS = "prompts."
OF_PROMPTS = ("context_length", "axis", "heads", "hidden", "depth")  # settings


def find_start(name: str) -> Path:
    """Return the file of the model that training begins with.

    Raises:
        InputError: There is none.
    """
    try:
        return find_model_file(name)
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
    header = ModelFile.read_header(file)
    differing = _first_difference(header, config)
    if differing is not None:
        raise InputError(f"{file}: {differing}.")

    size = towers.image_size
    with one_sentence(file, image_size=None if size == header.config.image_size else size):
        start = ModelFile.read_for(file, towers)
    if not same_text_tower(start, config, towers):
        problem = f"its text tower has the weights of {start.config.weights!r}"
        raise InputError(f"{file}: {problem}; name that file by --weights, or leave out --weights.")

    prefixes = list(TOWER)
    if start.has_prompts and config.stage1_epochs() > 0:
        prefixes.append(PROMPTS)
    names = [name for name in start.tensors if name.startswith(tuple(prefixes))]
    return {name: start.tensors[name] for name in names}


def _first_difference(start: ModelFile, ours: Config) -> str | None:
    """Return why a model cannot begin with an earlier one, and what to do; None where it can."""
    theirs = start.config
    image_tower = TOWER[0]
    is_trained = must_be_stored(image_tower, theirs)  # a file may hold more than it must
    if not (is_trained and any(key.startswith(image_tower) for key in start.tensors)):
        problem = "its image tower was never trained, so there is nothing to begin with"
        return f"{problem}; fit the relative with --image-side tower"

    settings = ["towers"]
    if ours.towers.endswith("/random"):  # drawn by the seed
        settings.append("seed")
    if start.has_prompts and ours.stage1_epochs() > 0:
        settings += OF_PROMPTS
    for setting in settings:
        value = getattr(theirs, setting)
        if value != getattr(ours, setting):
            option = setting.replace("_", "-")
            cure = f"give --{option} {value}"
            if setting in OF_PROMPTS:
                cure += ", or --epochs1 0"
            return f"its {option} is {value}, and not {getattr(ours, setting)}; {cure}"
    return None


def same_text_tower(start: ModelFile, config: Config, towers: Towers) -> bool:
    """Return whether both models read sentences by the same weights, whatever file had them."""
    if not start.tower_state:  # the name of the towers says which they are
        return config.weights is None

    state = towers.state_dict()
    text = {key: value for key, value in start.tower_state.items() if key.startswith("text.")}
    return all(torch.equal(state[key].cpu(), value) for key, value in text.items())
