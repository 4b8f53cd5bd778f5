r"""The claims of chapter 9 with published CLIPs, for whoever has a network and a GPU: `make clip`.

    python experiments/matrix/run_clip.py           all of it -> runs/clip, book/results/clip.csv
    python experiments/matrix/run_clip.py --short   in miniature -> runs/clip-short
    python experiments/matrix/run_clip.py --towers ViT-B-16/openai --data /data

It fetches weights and images, runs the units of `clip.yaml` one after the other, and writes the
rows, a figure and a paragraph, as chapter 9 shows them. The same command goes on where it was cut.
A data set that cannot be had is left out, and a unit that fails stops no other one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import clip_needs as needs
import collect
import pandas as pd
import plan as planning
import torch
from work import Work, write_unit

from l2rclip_book.real_clip import TABLE, clip_figure, clip_paragraph, read_clip
from l2rclip_lite import Config
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, TrainingError, sentence
from l2rclip_lite.files import write_atomically, write_json, write_text

RESULTS = Path("book/results")
MINIATURE = "tiny/random"


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--towers", nargs="+", default=[], help="those of clip.yaml without it")
    parser.add_argument("--data", type=Path, help="folder of data sets; OUT/data without it")
    parser.add_argument("--out", type=Path, help="runs/clip, or runs/clip-short")
    parser.add_argument("--short", action="store_true", help="in miniature, on generated leaves")
    parser.add_argument("--cpu", action="store_true", help="allow a CPU where no GPU is, for days")
    options = parser.parse_args(arguments)

    if options.out is None:
        options.out = Path("runs/clip-short" if options.short else "runs/clip")
    if options.data is None:
        options.data = options.out / "data"
    return options


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or the kind of another device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type


def unit_of(
    plan: dict[str, Any],
    key: dict[str, Any],
    towers: str,
    weights: needs.Weights,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return everything that a unit of these towers needs to know."""
    preset = "smoke" if options.short else "page"
    unit = planning.unit(plan, **key, preset=preset, data_folder=options.data)
    unit["settings"]["towers"] = towers
    if towers != MINIATURE:
        unit["settings"]["image_size"] = weights.image_size
    # for what a GPU would do, every core; a head is a small problem, for which one is faster
    if options.cpu and unit["settings"]["image_side"] == "tower":
        unit["settings"]["threads"] = None
    return unit | {"commits": weights.commits}


def run_towers(
    plan: dict[str, Any],
    towers: str,
    weights: needs.Weights,
    options: argparse.Namespace,
    commit: str,
) -> Iterator[str]:
    """Run the units of some towers that have no rows yet; yield those that failed, and why."""
    folder = folder_of(options.out, towers)
    device = choose_device(Config(device="auto"))
    origin = {"commit": commit, "towers": towers, "device": device_name(device)}

    for key in planning.units(plan, options.data):
        name = f"{key['study']}/{key['data']}-{key['run']}"
        file = folder / "rows" / f"{name}.csv"
        if collect.is_finished(file):
            continue

        print(f"\n{towers} {name}", flush=True)
        unit = unit_of(plan, key, towers, weights, options)
        try:
            work = Work(unit, key["data"], folder / "features")
            write_unit(work, key, file, origin | weights.columns())
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
    plan: dict[str, Any], all_weights: dict[str, needs.Weights], out: Path, left_out: dict[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the rows of all towers, the scores of their images, and how they were made.

    Towers of which every unit failed have no row, and each of their units is missing.
    """
    tables = []
    images = []
    origins = {}
    missing: list[str] = []
    for towers in all_weights:
        folder = folder_of(out, towers)
        if not has_rows(folder, plan):
            missing += [f"{towers} {unit}" for unit in collect.unit_files(folder, plan)]
            continue
        table, origin = collect.gather(folder, plan)
        tables.append(table)
        images.append(collect.image_scores(folder, table).assign(towers=towers))
        missing += [f"{towers} {unit}" for unit in origin.pop("missing")]
        origins[towers] = origin

    record = {
        "towers": {towers: asdict(weights) for towers, weights in all_weights.items()},
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
    plan = planning.read_clip("smoke" if options.short else "page")
    pins = plan["towers"]
    names = options.towers or ([MINIATURE] if options.short else list(pins))
    commit = planning.code_commit()  # before rows are written into the tree

    left_out: dict[str, str] = {}
    if choose_device(Config()).type == "cpu" and not (options.short or options.cpu):
        raise InputError(
            "no GPU is visible here, and a CPU would take weeks; run it on a machine with a GPU, "
            "in miniature by SHORT=1, or here all the same by CPU=1."
        )

    begun = options.out / "weights.json"
    all_weights = {name: needs.fetch_weights(name, pins.get(name, {}), begun) for name in names}
    kept = needs.read_begun(begun) | {name: asdict(each) for name, each in all_weights.items()}
    write_json(begun, kept)
    if not options.short:
        left_out = needs.fetch_data(plan, options.data)
    plan = needs.without(plan, needs.NOT_FREE if options.short else left_out)

    failed: list[str] = []
    for name, weights in all_weights.items():
        failed += run_towers(plan, name, weights, options, commit)
    print("\n".join(["", *failed]))

    if not any(has_rows(folder_of(options.out, name), plan) for name in names):
        raise TrainingError("every unit failed, so there are no rows; the sentences above say why.")

    results = options.out if options.short else RESULTS
    with_rows = {  # also those of an earlier call
        name: needs.Weights(**facts)
        for name, facts in kept.items()
        if name in names or has_rows(folder_of(options.out, name), plan)
    }
    earlier = sorted(with_rows.keys() - set(names))
    if earlier:
        print(f"the table has the rows of an earlier call, too: {', '.join(earlier)}")
    collect.write_table(results / TABLE, *gather(plan, with_rows, options.out, left_out))
    write_page(results, options.out)
    if not options.short:
        print("Please send the rows: `Rows of your own` in CONTRIBUTING.md says how.")
    return 1 if failed else 0


def has_rows(folder: Path, plan: dict[str, Any]) -> bool:
    """Return whether a unit of a plan has its rows in the folder of some towers."""
    return any(map(collect.is_finished, collect.unit_files(folder, plan).values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; what is wrong is one sentence, and exit status 2."""
    try:
        return run(read_options(arguments))
    except KeyboardInterrupt:
        print("clip: stopped; the same command goes on after the last unit", file=sys.stderr)
        return 130
    except (InputError, TrainingError) as error:
        print(f"clip: {sentence(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
