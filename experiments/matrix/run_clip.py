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

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import collect
import pandas as pd
import plan as planning
import torch
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


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--towers", nargs="+", default=[], help="those of clip.yaml without it")
    parser.add_argument("--data", type=Path, help="folder of data sets; OUT/data without it")
    parser.add_argument("--out", type=Path, help="runs/clip, or runs/clip-short")
    parser.add_argument("--short", action="store_true", help="in miniature, on generated leaves")
    options = parser.parse_args(arguments)

    options.preset = "page"
    out = Path("runs/clip")
    if options.short:
        options.preset = "smoke"
        out = Path("runs/clip-short")

    options.out = options.out or out
    if options.data is None:
        options.data = options.out / "data"
    return options


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


def without(plan: dict[str, Any], left_out: Iterable[str]) -> dict[str, Any]:
    """Return a plan without some data sets."""
    studies = {}
    for name, facts in plan["studies"].items():
        present = [data for data in facts["data"] if data not in left_out]
        studies[name] = facts | {"data": present}
    return plan | {"studies": studies}


def run_towers(
    plan: dict[str, Any], towers: str, weights: Weights, options: argparse.Namespace, commit: str
) -> Iterator[str]:
    """Run the units of some towers that have no rows yet; yield those that failed, and why."""
    folder = folder_of(options.out, towers)
    device = choose_device(Config(device="auto"))
    is_gpu = device.type == "cuda"
    card = torch.cuda.get_device_name(device) if is_gpu else device.type
    origin = {"commit": commit, "towers": towers, "device": card}
    origin["weights_commit"] = " ".join(sorted(set(weights.commits.values())))
    origin["weights_sha256"] = weights.sha256

    for key in planning.units(plan, options.data):
        name = f"{key['study']}/{key['data']}-{key['run']}"
        file = folder / "rows" / f"{name}.csv"
        if collect.is_finished(file):
            continue

        print(f"\n{towers} {name}", flush=True)
        unit = planning.unit(plan, **key, preset=options.preset, data_folder=options.data)
        unit["settings"]["towers"] = towers
        if towers != MINIATURE:
            unit["settings"]["image_size"] = weights.image_size
        unit["commits"] = weights.commits
        try:
            work = Work(unit, folder / "features")
            write_unit(work, key, file, origin)
        except (InputError, TrainingError) as error:
            yield f"{towers} {name}: {sentence(error)}"


def folder_of(out: Path, towers: str) -> Path:
    """Return the folder of the rows of some towers.

    Example:
        >>> folder_of(Path("runs"), "ViT-B-16/openai").name
        'ViT-B-16-openai'
    """
    return out / re.sub(r"[^A-Za-z0-9.]+", "-", towers)


def gather(
    plan: dict[str, Any], all_weights: dict[str, Weights], out: Path, left_out: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the rows of all towers, the scores of their images, and how they were made.

    Towers of which every unit failed have no row, and each of their units is missing.

    Raises:
        TrainingError: No towers have rows.
    """
    tables = []
    images = []
    origins = {}
    missing: list[str] = []
    for towers in all_weights:
        folder = folder_of(out, towers)
        units = collect.unit_files(folder, plan)
        if any(map(collect.is_finished, units.values())):
            table, origin = collect.gather(folder, plan)
            tables.append(table)
            images.append(collect.image_scores(folder, table).assign(towers=towers))
            missing += [f"{towers} {unit}" for unit in origin.pop("missing")]
            origins[towers] = origin
        else:
            missing += [f"{towers} {unit}" for unit in units]

    if not tables:
        raise TrainingError("every unit failed, so there are no rows; the sentences above say why.")
    record = {
        "towers": {towers: weights._asdict() for towers, weights in all_weights.items()},
        "left_out": left_out,
        "missing": missing,
        "runs": origins,
    }
    return pd.concat(tables).fillna(""), pd.concat(images), record


def write_page(folder: Path, out: Path) -> None:
    """Write the figure and the paragraph that chapter 9 makes of the rows in a folder."""
    print(f"rows: {folder / TABLE}; paragraph and figure: {out / 'clip.md'}, {out / 'clip.png'}")
    clip = read_clip(str(folder))
    write_text(out / "clip.md", clip_paragraph(clip) + "\n")
    figure = clip_figure(clip)
    if figure is not None:
        write_atomically(out / "clip.png", lambda file: figure.savefig(file, dpi=130))


def run(options: argparse.Namespace) -> int:
    """Fetch, train, and write; return the exit status."""
    plan = planning.read_clip(options.preset)
    pins = plan["towers"]
    names = options.towers or list(pins)
    if options.short and not options.towers:
        names = [MINIATURE]
    commit = planning.code_commit()  # before rows are written into the tree
    if choose_device(Config()).type == "cpu" and not options.short:
        raise InputError(
            "no GPU is visible here, and a CPU would take weeks; run it on a machine with a GPU, "
            "or in miniature by SHORT=1."
        )

    all_weights = {name: fetch_weights(name, pins.get(name, {})) for name in names}
    if options.short:
        results = options.out
        left_out = {}
        plan = without(plan, NOT_FREE)
    else:
        results = RESULTS
        left_out = fetch_data(plan, options.data)
        plan = without(plan, left_out)

    failed: list[str] = []
    for name, weights in all_weights.items():
        failed += run_towers(plan, name, weights, options, commit)
    print("\n".join(["", *failed]))

    collect.write_table(results / TABLE, *gather(plan, all_weights, options.out, left_out))
    write_page(results, options.out)
    if not options.short:
        print("Please send the rows: `Rows of your own` in CONTRIBUTING.md says how.")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; what is wrong is one sentence, and exit status 2."""
    try:
        return run(read_options(arguments))
    except (InputError, TrainingError) as error:
        print(f"clip: {sentence(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
