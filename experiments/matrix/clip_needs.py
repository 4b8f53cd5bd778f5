"""What `make clip` needs before it trains: room on the disk, weights, images, and time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plan as planning
import torch
from huggingface_hub.constants import HF_HUB_CACHE

from l2rclip_lite import load_towers
from l2rclip_lite.data.benchmarks import DATA_SETS, download
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import digest_of, read_json, sha256_of
from l2rclip_lite.towers.hub import HubFiles, NotAllowedError
from l2rclip_lite.towers.open_clip import weights_file

LIKE_CLIP = "ViT-B-16/random"  # as fast as the trained one, and needs no network
WEIGHTS_SIZE = 1.0  # GiB, of a base model in 32 bits and what is left half-fetched
DATA_SIZE = 2.0  # GiB, of archives and images
NOT_FREE = ("bracol-area", "apples81", "hc18")  # sets that nothing downloads
TRAIN_SHARE = 0.7  # of the images of a data set
VAL_SHARE = 0.15


@dataclass(frozen=True)
class Weights:
    """The weights of towers.

    Args:
        commits: By repository on the hub, the commit they came from; none of weights that pip or a
            seed brings.
        sha256: Of the file; without one, of the tensors.
        pinned: Whether the digest was known before.
        image_size: The towers' own.
    """

    commits: dict[str, str]
    sha256: str
    pinned: bool
    image_size: int

    def columns(self) -> dict[str, str]:
        """Return what each row says of the weights."""
        commits = " ".join(sorted(set(self.commits.values())))
        return {"weights_commit": commits, "weights_sha256": self.sha256}


def fetch_weights(name: str, pins: Mapping[str, Any], begun: Path) -> Weights:
    """Return the weights of towers, downloaded where this machine lacks them.

    Args:
        name: Of the towers, as `load_towers` takes it.
        pins: `commits` and `sha256` of `clip.yaml`, empty where they are not known.
        begun: The file in which a run that was cut keeps what it began with.

    Raises:
        InputError: Weights that cannot be had, or others than are expected.
    """
    kept = read_begun(begun).get(name, {})
    hub = HubFiles(commits={**kept.get("commits", {}), **pins.get("commits", {})})
    published = is_published(name)
    digest = ""
    if published:
        try:
            file = weights_file(name, hub)
        except InputError as error:
            cause = error.__cause__
            if cause is None:  # a wrong name, which its own sentence explains
                raise
            reason = (str(cause).splitlines() or [type(cause).__name__])[0][:120]
            raise InputError(
                f"{name}: the weights cannot be fetched ({reason}); connect this machine to a "
                "network, or name towers that it has already by TOWERS=NAME."
            ) from error
        digest = sha256_of(file)
        check_digest(name, digest, pins.get("sha256", ""), f"{planning.CLIP.name}, {file}")
        check_digest(name, digest, kept.get("sha256", ""), f"{begun}, {file}")

    towers = load_towers(name, commits=hub.commits)
    if not published:
        digest = digest_of(towers.state_dict())
        check_digest(name, digest, kept.get("sha256", ""), str(begun))
    pinned = bool(pins.get("sha256")) or not published
    return Weights(dict(towers.commits), digest, pinned, towers.image_size)


def is_published(name: str) -> bool:
    """Return whether the weights of towers come from the hub, and not by pip or a seed."""
    return name != "mini" and not name.endswith("/random")


def is_here(name: str, pins: Mapping[str, Any]) -> bool:
    """Return whether this machine has the weights of towers; for the arguments see `fetch_weights`.

    Raises:
        InputError: A wrong name.
    """
    if not is_published(name):
        return True
    try:
        weights_file(name, HubFiles(allow_download=False, commits=pins.get("commits")))
    except NotAllowedError:
        return False
    return True


def read_begun(file: Path) -> dict[str, Any]:
    """Return the weights, by the name of their towers, that a run was begun with."""
    return read_json(file) if file.is_file() else {}


def check_digest(name: str, digest: str, expected: str, where: str) -> None:
    """Refuse weights whose SHA-256 is another one than is expected; "" expects nothing."""
    if expected and digest != expected:
        raise InputError(
            f"{name}: the weights have the SHA-256 {digest[:12]}…, not {expected[:12]}… ({where}); "
            "delete them, and give the same command again; if they are meant, give another OUT."
        )


def check_disk(folder: Path, gib: float, cure: str) -> None:
    """Refuse a disk with less room than a download takes.

    Args:
        folder: Where it goes; it need not exist.
        gib: The room it takes.
        cure: What to do.
    """
    free = shutil.disk_usage(_existing(folder)).free / 2**30
    if free < gib:
        raise InputError(
            f"{folder}: {free:.1f} GiB are free, and about {gib:.1f} are needed; {cure}."
        )


def check_disks(plan: dict[str, Any], names: Iterable[str], data_folder: Path) -> None:
    """Refuse disks that are too small for the weights and the images that are not here yet.

    Args:
        plan: From `plan.read_clip`.
        names: Of the towers.
        data_folder: Of all data sets.
    """
    pins = plan["towers"]
    weights_gib = sum(WEIGHTS_SIZE for name in names if not is_here(name, pins.get(name, {})))
    source_names = [plan["data"][name]["load"]["name"] for name in absent_data(plan, data_folder)]
    data_gib = DATA_SIZE if any(DATA_SETS[name].url for name in source_names) else 0.0

    cure = "free some space, or name another folder by"
    hub = Path(HF_HUB_CACHE)
    if _existing(hub).stat().st_dev == _existing(data_folder).stat().st_dev:
        check_disk(data_folder, weights_gib + data_gib, f"{cure} DATA=FOLDER or HF_HOME")
        return
    check_disk(hub, weights_gib, f"{cure} HF_HOME")
    check_disk(data_folder, data_gib, f"{cure} DATA=FOLDER")


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def absent_data(plan: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Return, by its name, the folder of each data set of a plan that is not there, or is empty.

    Args:
        plan: From `plan.read_clip`.
        folder: Of all data sets.
    """
    absent = {}
    for name in data_sets(plan):
        facts = plan["data"][name]
        if "folder" not in facts:
            continue
        place = folder / facts["folder"]
        if not place.is_dir() or not any(place.iterdir()):
            absent[name] = place
    return absent


def fetch_data(plan: dict[str, Any], folder: Path) -> dict[str, str]:
    """Download the images of a plan that are free and not in a folder yet.

    Args:
        plan: From `plan.read_clip`.
        folder: Of the data sets; what is in it is left as it is.

    Returns:
        Why a data set is not there, for each that is not.

    Raises:
        InputError: No data set is there.
    """
    missing = {}
    for name, place in absent_data(plan, folder).items():
        source_name = plan["data"][name]["load"]["name"]
        if DATA_SETS[source_name].url:
            print(f"{name}: fetching it into {place}", flush=True)
        try:
            download(source_name, place)
        except InputError as error:
            missing[name] = sentence(error)
            print(f"{missing[name]}\nIt is left out.", flush=True)

    if len(missing) == len(data_sets(plan)):
        raise InputError(
            "no data set is here, and none could be fetched; connect this machine to a network, "
            "or name a folder that holds bracol_severity/ by DATA=FOLDER."
        )
    return missing


def data_sets(plan: dict[str, Any]) -> list[str]:
    """Return the data sets of all studies, each once."""
    names: list[str] = []
    for facts in plan["studies"].values():
        names += facts["data"]
    return list(dict.fromkeys(names))


def without(plan: dict[str, Any], missing: Iterable[str]) -> dict[str, Any]:
    """Return a plan without some data sets."""
    left_out = set(missing)
    studies = {}
    for name, facts in plan["studies"].items():
        present = [data for data in facts["data"] if data not in left_out]
        studies[name] = facts | {"data": present}
    return plan | {"studies": studies}


def image_passes(plan: dict[str, Any]) -> float:
    """Return how many passes of one image through the image tower a plan takes, for one towers.

    A step of training counts as three. Heads on a frozen tower take next to none.
    """
    passes: dict[tuple[str, str], float] = {}
    for key in planning.units(planning.anywhere(plan)):
        unit = planning.unit(plan, **key, preset="page", data_folder=None)
        images = int(DATA_SETS[unit["load"]["name"]].images.replace(",", ""))
        passes[key["data"], "features"] = images  # once for all studies

        if unit["settings"]["image_side"] == "tower":
            epoch = 3 * TRAIN_SHARE + VAL_SHARE
            passes_per_image = unit["settings"]["epochs2"] * epoch + 1 - TRAIN_SHARE
            run = f"{key['study']}-{key['run']}"
            passes[key["data"], run] = images * passes_per_image * len(unit["arms"])
    return sum(passes.values())


def seconds_per_pass(device: torch.device) -> float:
    """Measure how long one image takes through an image tower of CLIP's usual size."""
    towers = load_towers(LIKE_CLIP).to(device)
    batch = 1 if device.type == "cpu" else 32
    pixels = torch.zeros(batch, 3, towers.image_size, towers.image_size, device=device)

    durations = []
    with torch.inference_mode():
        for _ in range(4):  # the first is slower, and another program may hold one up
            start = time.perf_counter()
            towers.backbone(pixels).cpu()
            durations.append(time.perf_counter() - start)
    return min(durations) / batch
