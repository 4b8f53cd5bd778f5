"""What `make clip` needs before it trains: weights and images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plan as planning

from l2rclip_lite import load_towers
from l2rclip_lite.data.benchmarks import DATA_SETS, download
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.files import digest_of, read_json, sha256_of
from l2rclip_lite.towers.hub import HubFiles
from l2rclip_lite.towers.open_clip import weights_file

NOT_FREE = ("bracol-area", "apples81", "hc18")  # sets that nothing downloads


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
    for name in data_sets(plan):
        place = folder / plan["data"][name]["folder"]
        if place.is_dir() and any(place.iterdir()):
            continue
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
