"""How a model is kept: written, published, and read again."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from torch import Tensor

from l2rclip_lite.config import Config
from l2rclip_lite.errors import InputError
from l2rclip_lite.heads.kernel import LinearHead
from l2rclip_lite.method.prompts import TextSide, build_prompts
from l2rclip_lite.runs.model_file import (
    MODEL,
    ModelFile,
    find_model_file,
    must_be_stored,
    one_sentence,
    upload,
)
from l2rclip_lite.towers.base import Towers

Model = TypeVar("Model", bound="Pretrained")


class Pretrained(TextSide):
    """A model that can be written to a file, and read from a run or a hub."""

    head: LinearHead | None

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return what training may have changed, and the whole towers where no name brings them."""
        if self.towers.rebuildable:
            return self._learned_tensors()
        return self.state_dict()

    def _learned_tensors(self) -> dict[str, Tensor]:
        """Return the state without the towers that stayed frozen."""
        state = self.state_dict()
        return {name: value for name, value in state.items() if must_be_stored(name, self.config)}

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write `model.safetensors`: `stored_tensors`, with config and ranks as metadata."""
        file = Path(folder) / MODEL
        content = ModelFile(
            config=replace(self.config, image_size=self.towers.image_size),
            ranks=self.ranks,
            tensors=self.stored_tensors(),
            decoder="softmax" if self.head is None else self.head.decoder,
            commits=self.towers.commits,
        )
        content.write(file)
        return file

    def push_to_hub(self, name: str, card: str, *, private: bool | None = None) -> str:
        """Publish the model and its card on the Hugging Face hub, in one commit.

        `hf auth login` comes before.

        Args:
            name: `USER/NAME`; made where it is not there yet.
            card: The model card in Markdown: the `README.md` of the run, with its gaps filled in.
            private: Whether nobody else may see a repository that is made; None leaves that to the
                hub.

        Returns:
            The commit, for `from_pretrained("hf-hub:USER/NAME", revision=...)`.

        Raises:
            InputError: The hub cannot be reached, or does not take it.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            Path(folder, "README.md").write_text(card, encoding="utf-8")
            return upload(folder, name, private=private)

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name: str | Path,
        *,
        device: str = "cpu",
        revision: str = "main",
        towers: str | None = None,
        weights: str | Path | None = None,
        allow_download: bool = False,
    ) -> Model:
        """Load a trained model.

        Its file may name `mini`, `tiny/random`, towers whose weights it holds, and towers whose
        weights are on this machine. Whatever else it names has to be allowed or named by the
        caller. Tensors of 16 or 8 bits become float32.

        Args:
            name: A run directory, `"hf-hub:USER/NAME"`, or `"leaves"` or `"leaves-percent"`: of
                generated leaves, they ship with the package; a run directory of that name comes
                first.
            device: Where to put it.
            revision: Of a repository on the hub: a commit, which nobody can change later, a tag, or
                a branch.
            towers: The towers, as `load_towers` takes them, in place of those that the file names;
                they may be downloaded.
            weights: A local safetensors file of their weights. A path in the file is never
                followed.
            allow_download: Whether weights and tokenizer that the file names may be downloaded from
                the Hugging Face hub, at the commit that the file names, where it does.

        Raises:
            InputError: No model there, a file that is not one of ours or is damaged, something that
                would be downloaded without leave, or a device that is not here.
        """
        place = usable_device(device)
        file = find_model_file(name, revision)
        header = ModelFile.read_header(file)
        with one_sentence(file, towers=towers, weights=weights):
            loaded = header.load_towers(towers, weights, allow_download=allow_download)
            content = ModelFile.read_for(file, loaded)
            config = _named_config(content.config, towers, weights)
            return cls._from_file(replace(content, config=config), loaded).to(place)

    @classmethod
    def _from_file(cls: type[Model], content: ModelFile, towers: Towers) -> Model:
        """Build the model of a checked file on its towers."""
        if content.tower_state:
            towers.load_state_dict(content.tower_state)

        # Its texts are in the file; to encode its prompts is the only step whose memory no size in
        # the file bounds.
        features = content.tensors["rank_features"]
        model = cls(towers, content.ranks, content.config, rank_features=features)
        if content.has_prompts:
            model.prompts = build_prompts(towers, content.ranks, content.config)
            model._remember_text()
        model.head = content.head()

        state = model.state_dict()
        for name, value in content.tensors.items():
            if value.dtype != state[name].dtype:
                raise ValueError(f"{name} must be of type {state[name].dtype}")

        model.load_state_dict(content.tensors, strict=False)  # frozen towers may not be in the file
        return model


def usable_device(name: str) -> torch.device:
    """Return a device that this torch can compute on; to train, see `choose_device`.

    Args:
        name: "cpu", "cuda" or "mps", with a number where there are several, such as "cuda:1".

    Raises:
        InputError: Another word, or a device that is not here.

    Example:
        >>> usable_device("cpu")
        device(type='cpu')
        >>> usable_device("tpu")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: device: 'tpu' is none of cpu, cuda and mps; correct it.
    """
    kind, colon, number = name.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.mps.device_count()}
    is_place = number.isdecimal() and number == str(int(number))
    if kind not in counts or (colon and not is_place):
        raise InputError(f"device: {name!r} is none of cpu, cuda and mps; correct it.")
    if int(number or 0) >= counts[kind]:
        raise InputError(f"device: no {name!r} device is visible here; use another device, or cpu.")
    return torch.device(name)


def _named_config(config: Config, towers: str | None, weights: str | Path | None) -> Config:
    """Return the config with the towers and weights that a caller has named in place of its own."""
    if towers is None and weights is None:
        return config
    return replace(
        config,
        towers=towers or config.towers,
        weights=None if weights is None else str(weights),
    )
