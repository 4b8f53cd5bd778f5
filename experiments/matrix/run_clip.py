r"""The claims of chapter 9 with published CLIPs, for whoever has a network and a GPU: `make clip`.

    python experiments/matrix/run_clip.py           all of it -> runs/clip, book/results/clip.csv
    python experiments/matrix/run_clip.py --short   in miniature -> runs/clip-short
    python experiments/matrix/run_clip.py --towers ViT-B-16/openai --data /data

It fetches weights and images, runs the units of `clip.yaml` one after the other, and writes the
rows, a figure and a paragraph, as chapter 9 shows them. The same command goes on where it was cut.
A data set that cannot be had is left out, and a unit that fails stops no other one. By a count of
operations it takes some three hours of a GPU; weights, images and features are a few gigabytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import collect
import plan as planning
import torch
import tyro
from work import Work, write_unit

from l2rclip_book.real_clip import TABLE, clip_figure, clip_paragraph, read_clip
from l2rclip_lite import Config, load_towers
from l2rclip_lite.data.check import download
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, TrainingError, sentence
from l2rclip_lite.files import digest_of, write_atomically, write_text

RESULTS = Path("book/results")
MINIATURE = "tiny/random"
NOT_FREE = ("bracol-area", "apples81", "hc18")  # sets that nothing downloads


class Weights(NamedTuple):
    """The weights of towers.

    Args:
        commits: By repository on the hub, the commit they came from; none of weights that pip or a
            seed brings.
        sha256: Of the tensors.
        pinned: Whether the digest was known before.
        image_size: The towers' own.
    """

    commits: dict[str, str]
    sha256: str
    pinned: bool
    image_size: int


def fetch_weights(name: str, pins: Mapping[str, Any]) -> Weights:
    """Return the weights of towers, downloaded where this machine lacks them.

    Args:
        name: Of the towers, as `load_towers` takes it.
        pins: `commits` and `sha256` of `clip.yaml`, empty where they are not known.

    Raises:
        InputError: Weights that cannot be had, or others than are expected.
    """
    towers = load_towers(name, commits=pins.get("commits"))
    digest = digest_of(towers.state_dict())
    expected = pins.get("sha256")
    if expected and digest != expected:
        raise InputError(
            f"{name}: the weights have the SHA-256 {digest[:12]}…, not {expected[:12]}… "
            f"({planning.CLIP.name}); delete them, and give the same command again."
        )
    return Weights(dict(towers.commits), digest, bool(expected), towers.image_size)


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
    names: list[str] = []
    for facts in plan["studies"].values():
        names += facts["data"]

    missing = {}
    for name in dict.fromkeys(names):
        place = folder / plan["data"][name]["folder"]
        if place.is_dir() and any(place.iterdir()):
            continue
        print(f"{name}: looking for it, to fetch it into {place}", flush=True)
        try:
            download(plan["data"][name]["load"]["name"], place)
        except InputError as error:
            missing[name] = sentence(error)
            print(f"{missing[name]}\nIt is left out.", flush=True)

    if missing.keys() == set(names):
        raise InputError(
            "no data set is here, and none could be fetched; connect this machine to a network, "
            "or name a folder that holds bracol_severity/ by DATA=FOLDER."
        )
    return missing


def of_towers(
    plan: dict[str, Any], all_weights: Mapping[str, Weights], left_out: Iterable[str]
) -> dict[str, Any]:
    """Return a plan with the studies of all towers, without some data sets.

    A study is called "ViT-B-16/openai/main", say; it has its `towers` and its own name, `study`.
    """
    studies = {}
    for towers, weights in all_weights.items():
        own: dict[str, Any] = {"towers": towers}
        if towers != MINIATURE:
            own["image_size"] = weights.image_size
        for name, facts in plan["studies"].items():
            studies[f"{towers}/{name}"] = facts | {
                "study": name,
                "towers": towers,
                "settings": planning.merged(facts["settings"], own),
                "data": [data for data in facts["data"] if data not in left_out],
            }
    return plan | {"studies": studies}


def run_units(
    plan: dict[str, Any],
    all_weights: Mapping[str, Weights],
    out: Path,
    data_folder: Path,
) -> Iterator[str]:
    """Run the units that have no rows yet; yield those that failed, and why."""
    commit = planning.code_commit()
    device = choose_device(Config(device="auto"))
    is_gpu = device.type == "cuda"
    card = torch.cuda.get_device_name(device) if is_gpu else device.type

    for key in planning.units(plan, data_folder):
        name = planning.name_of(key)
        file = out / "rows" / f"{name}.csv"
        if collect.is_finished(file):
            continue

        print(f"\n{name}", flush=True)
        study = plan["studies"][key["study"]]
        weights = all_weights[study["towers"]]
        origin = {
            "commit": commit,
            "device": card,
            "weights_commit": " ".join(sorted(set(weights.commits.values()))),
            "weights_sha256": weights.sha256,
        }
        unit = planning.unit(plan, **key, data_folder=data_folder)
        unit["commits"] = weights.commits
        own_key = key | {"towers": study["towers"], "study": study["study"]}
        try:
            write_unit(Work(unit, out / "features"), own_key, file, origin)
        except (InputError, TrainingError) as error:
            yield f"{name}: {sentence(error)}"


def write_page(folder: Path, out: Path) -> None:
    """Write the figure and the paragraph that chapter 9 makes of the rows in a folder."""
    print(f"rows: {folder / TABLE}; paragraph and figure: {out / 'clip.md'}, {out / 'clip.png'}")
    clip = read_clip(str(folder))
    write_text(out / "clip.md", clip_paragraph(clip) + "\n")
    figure = clip_figure(clip)
    if figure is not None:
        write_atomically(out / "clip.png", lambda file: figure.savefig(file, dpi=130))


def run(
    towers: tuple[str, ...] = (),
    data: Path | None = None,
    out: Path | None = None,
    short: bool = False,
) -> int:
    """Fetch weights and images, train what has no rows yet, and write; return the exit status.

    Args:
        towers: Names of open_clip; those of clip.yaml without it.
        data: Folder of data sets; OUT/data without it.
        out: Where rows are kept; runs/clip, or runs/clip-short.
        short: In miniature, on generated leaves.
    """
    plan = planning.read_clip("smoke" if short else "page")
    if choose_device(Config()).type == "cpu" and not short:
        raise InputError(
            "no GPU is visible here, and a CPU would take weeks; run it on a machine with a GPU, "
            "or in miniature by SHORT=1."
        )

    pins = plan["towers"]
    names = towers or ([MINIATURE] if short else list(pins))
    all_weights = {name: fetch_weights(name, pins.get(name, {})) for name in names}
    out = out or Path("runs/clip-short" if short else "runs/clip")
    data = data or out / "data"
    results = out
    left_out = dict.fromkeys(NOT_FREE, "nothing downloads it")
    if not short:
        results = RESULTS
        left_out = fetch_data(plan, data)

    plan = of_towers(plan, all_weights, left_out)
    failed = list(run_units(plan, all_weights, out, data))
    print("\n".join(["", *failed]))

    table, images, record = collect.gather(out, plan)
    record["towers"] = {name: weights._asdict() for name, weights in all_weights.items()}
    record["left_out"] = left_out
    collect.write_table(results / TABLE, table, images, record)
    write_page(results, out)
    if not short:
        print("Please send the rows: `Rows of your own` in CONTRIBUTING.md says how.")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; what is wrong is one sentence, and exit status 2."""
    try:
        return tyro.cli(run, args=arguments)
    except (InputError, TrainingError) as error:
        print(f"clip: {sentence(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
