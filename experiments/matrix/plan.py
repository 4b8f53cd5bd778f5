"""What `studies.yaml` and `sweep.yaml` say, as units of work. Needs only PyYAML, so Snakemake's own environment reads it.

python experiments/matrix/plan.py                 what there is to run
python experiments/matrix/plan.py --preset smoke  the same in miniature
python experiments/matrix/plan.py --preset sweep  the grid of sweep.yaml
"""

from __future__ import annotations

import argparse
import copy
import itertools
import re
from pathlib import Path
from typing import Any

import yaml

STUDIES, SWEEP = (Path(__file__).with_name(name) for name in ("studies.yaml", "sweep.yaml"))
PRESETS = ("page", "smoke", "sweep")
# In miniature: every study, arm and condition, one run each, on generated leaves and with tiny random towers.
SMOKE_RANKS = {"bracol-area": 21, "apples81": 20, "hc18": 27, "bracol": 5, "retinamnist": 5}
SMOKE_RANKS |= {"leaves5": 5, "leaves20": 20, "leaves62": 62}
SMOKE_SETTINGS = {"towers": "tiny/random", "image_size": 32, "epochs1": 1, "epochs2": 1, "heads": 2}


def read(preset: str = "page") -> dict[str, Any]:
    """The plan of a preset.

    Args:
        preset: "page", the runs behind the book; "smoke", one run of each study that takes seconds; "sweep", a grid of
            settings.

    Raises:
        ValueError: Another preset, or two combinations of a sweep with one name.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    if preset == "sweep":
        return grid(yaml.safe_load(SWEEP.read_text(encoding="utf-8")))
    plan: dict[str, Any] = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
    if preset == "smoke":
        for name, ranks in SMOKE_RANKS.items():
            load = {
                "name": "leaves",
                "ranks": ranks,
                "size": 110 if ranks == 5 else 8 * ranks,
                "pixels": 64,
            }
            plan["data"][name] = {"load": load, "run": "seed", "runs": 1}
    return plan


def grid(sweep: dict[str, Any]) -> dict[str, Any]:
    """A sweep as a plan: every combination of the grid is a study of one arm, named after its values.

    Args:
        sweep: `data`, `settings` and `grid`, as `sweep.yaml` explains them.

    Raises:
        ValueError: Two combinations of one name.
    """
    studies: dict[str, Any] = {}
    for values in itertools.product(*sweep["grid"].values()):
        pairs = dict(zip(sweep["grid"], values, strict=True))
        named = (
            f"{key.split('.')[-1]}-{str(value).replace('.', 'p')}" for key, value in pairs.items()
        )
        name = re.sub(r"[^a-z0-9]+", "-", "-".join(named).lower())
        if name in studies:
            raise ValueError(
                f"sweep.yaml: two combinations are named {name}; write their values in another way"
            )
        own: dict[str, Any] = {}
        for key, value in pairs.items():
            part, _, control = key.partition(".")
            own = merged(own, {part: {control: value} if control else value})
        said = ", ".join(f"{key} {value}" for key, value in pairs.items())
        studies[name] = {
            "question": said,
            "data": list(sweep["data"]),
            "settings": own,
            "arms": {said: {}},
        }
    return {"settings": sweep["settings"], "data": sweep["data"], "groups": {}, "studies": studies}


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Settings of which the later ones win; `controls` are merged name by name."""
    whole: dict[str, Any] = {}
    for part in parts:
        controls = whole.get("controls", {}) | part.get("controls", {})
        whole |= part | ({"controls": controls} if controls else {})
    return whole


def units(plan: dict[str, Any], data_folder: Path | None = None) -> list[dict[str, Any]]:
    """Every unit of a plan, in the order of its studies.

    Args:
        plan: From `read`.
        data_folder: Units whose images are not in it are left out; None leaves out all that need a folder.

    Returns:
        `study`, `data` and `run` of each unit; runs count from 0.
    """
    every = []
    for study, what in plan["studies"].items():
        names = plan["groups"][what["data"]] if isinstance(what["data"], str) else what["data"]
        for name in names:
            about = plan["data"][name]
            if "folder" in about and not (data_folder and (data_folder / about["folder"]).is_dir()):
                continue
            most = (
                about["runs"] if "runs" in about else len(about["folds"]) * about.get("repeats", 1)
            )
            limit = what.get("runs", most)  # one number, or one for some data sets
            runs = min(most, limit.get(name, most) if isinstance(limit, dict) else limit)
            every += [{"study": study, "data": name, "run": run} for run in range(runs)]
    return every


def unit(
    plan: dict[str, Any], study: str, data: str, run: int, preset: str, data_folder: Path | None
) -> dict[str, Any]:
    """Everything that a unit needs to know.

    Returns:
        `load` (arguments of `load_dataset`), `fold`, `seed`, `settings` (of `Config`), `arms` and `conditions` (each a
        condition and its own settings).
    """
    what, about = copy.deepcopy(plan["studies"][study]), plan["data"][data]
    load, fold = dict(about["load"]), None
    if about["run"] == "fold":  # each repeat draws its folds anew
        load["fold"] = fold = about["folds"][run % len(about["folds"])]
        load |= {"seed": run // len(about["folds"])} if "repeats" in about else {}
    elif load["name"] == "leaves":
        load["seed"] = run  # other images, not only another start
    if "folder" in about and data_folder:
        load["root"] = str(data_folder / about["folder"])
    settings = merged(
        plan["settings"], about.get("settings", {}), what.get("settings", {}), {"seed": run}
    )
    arms = {name: {"method": name} if arm is None else arm for name, arm in what["arms"].items()}
    conditions = [(one, one.pop("settings", {})) for one in what.get("conditions", [{}])]
    if preset == "smoke":
        settings = merged(settings, SMOKE_SETTINGS)
        for own in [own for _, own in conditions] + [
            arm.setdefault("settings", {}) for arm in arms.values()
        ]:
            own.update({key: min(own[key], 1) for key in ("epochs1", "epochs2") if key in own})
        for condition, _ in conditions:
            if "long_tail" in condition:  # so few images have no longer tail
                condition["long_tail"] = min(condition["long_tail"], 4)
    return {
        "load": load,
        "fold": fold,
        "seed": run,
        "settings": settings,
        "conditions": conditions,
        "arms": arms,
    }


def main() -> None:
    """Print the units of a preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="page", choices=PRESETS)
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    options = parser.parse_args()
    plan = read(options.preset)
    every = units(plan, options.data)
    for study, what in plan["studies"].items():
        mine = [one for one in every if one["study"] == study]
        rows = len(what["arms"]) * len(what.get("conditions", [{}]))
        print(f"{study:<18}{len(mine):>3} units of {rows:>2} rows  {what['question']}")
    print(f"{len(every)} units in all")


if __name__ == "__main__":
    main()
