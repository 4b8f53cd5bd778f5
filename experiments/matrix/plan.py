"""What `studies.yaml` says, as units of work. Needs nothing but PyYAML, so that Snakemake's own environment can read it.

python experiments/matrix/plan.py                 what there is to run
python experiments/matrix/plan.py --preset smoke  the same in miniature
python experiments/matrix/plan.py --preset sweep  the grid of sweep.yaml
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
from pathlib import Path
from typing import Any

import yaml

STUDIES, SWEEP = (Path(__file__).with_name(name) for name in ("studies.yaml", "sweep.yaml"))
PRESETS = ("page", "smoke", "sweep")
# In miniature: every study, every arm, every condition, one run each, on drawn leaves and with tiny random towers.
SMOKE_DATA = {"bracol": 5, "retinamnist": 5, "leaves5": 5, "leaves20": 20, "leaves62": 62}
LONGEST = 20_000  # characters of a sweep
MOST = 100_000  # combinations of a sweep, and runs of a data set
SMOKE_SETTINGS = {"towers": "tiny/random", "image_size": 32, "epochs1": 1, "epochs2": 1, "heads": 2}


def read(preset: str = "page") -> dict[str, Any]:
    """The plan of a preset.

    Args:
        preset: "page", the runs behind the book; "smoke", one run of each study that takes seconds; "sweep", a grid of
            settings.

    Raises:
        ValueError: Another preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    if preset == "sweep":
        return read_sweep(SWEEP)
    plan: dict[str, Any] = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
    if preset == "smoke":
        for name, ranks in SMOKE_DATA.items():
            size = 110 if ranks == 5 else 8 * ranks
            plan["data"][name] = {"load": {"name": "leaves", "ranks": ranks, "size": size, "pixels": 64}}
            plan["data"][name] |= {"run": "seed", "runs": 1}
    return plan


def read_sweep(file: Path) -> dict[str, Any]:
    """A file such as `sweep.yaml` as a plan.

    Raises:
        ValueError: It is no YAML, or lacks something; the message begins with the name of the file.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if len(text) > LONGEST:  # PyYAML would take minutes over 100,000 brackets
            raise ValueError(f"it has {len(text):,} characters, a sweep at most {LONGEST:,}")
        sweep = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file.name}: cannot be read as YAML ({reason}); correct it") from error
    try:
        _check_sweep(sweep)
        return grid(sweep)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name}: {error!r}; see the comment at its top") from error


def _check_sweep(sweep: Any) -> None:
    """Refuse what `grid` and `units` would trip over, with a TypeError that says what is wanted."""
    for part in ("data", "settings", "grid"):
        if not isinstance(sweep[part], dict) or not all(isinstance(name, str) for name in sweep[part]):
            raise TypeError(f"{part} must hold names and what they mean")
    for name, values in sweep["grid"].items():
        if not isinstance(values, list) or not values:
            raise TypeError(f"grid: {name} must be a list of values")
    if math.prod(map(len, sweep["grid"].values())) > MOST:
        raise TypeError(f"grid: more than {MOST:,} combinations")
    for name, about in sweep["data"].items():
        load, runs = about["load"], about["runs"]
        if not isinstance(load, dict) or not isinstance(load.get("name"), str):
            raise TypeError(f"data: {name}: load must hold the name of a data set")
        if isinstance(runs, bool) or not isinstance(runs, int) or not 1 <= runs <= MOST:
            raise TypeError(f"data: {name}: runs must be a whole number from 1 to {MOST:,}")
        if about["run"] not in ("fold", "seed") or not isinstance(about.get("settings", {}), dict):
            raise TypeError(f"data: {name}: run must be fold or seed, and settings a mapping")
        if not isinstance(about.get("folder", ""), str):
            raise TypeError(f"data: {name}: folder must be text")


def grid(sweep: dict[str, Any]) -> dict[str, Any]:
    """A sweep as a plan: every combination of the grid is a study of one arm, named after its values.

    Args:
        sweep: `data`, `settings` and `grid`, as `sweep.yaml` explains them.

    Raises:
        ValueError: Two combinations of one name.
    """
    studies: dict[str, Any] = {}
    for values in itertools.product(*sweep["grid"].values()):
        own = dict(zip(sweep["grid"], values, strict=True))
        name = "-".join(f"{key}-{value}" for key, value in own.items()).lower()
        name = re.sub(r"[^a-z0-9]+", "-", name.replace(".", "p"))
        if name in studies:
            raise ValueError(
                f"sweep.yaml: two combinations are named {name}; write their values in another way"
            )
        said = ", ".join(f"{key} {value}" for key, value in own.items())
        studies[name] = {"question": said, "data": list(sweep["data"]), "arms": {said: {"settings": own}}}
    return {"settings": sweep["settings"], "data": sweep["data"], "groups": {}, "studies": studies}


def units(plan: dict[str, Any], data_folder: Path | None = None) -> list[dict[str, Any]]:
    """Every unit of a plan, in the order in which the studies stand there.

    Args:
        plan: From `read`.
        data_folder: Units whose pictures are not under it are left out; None leaves out all that need a folder.

    Returns:
        `study`, `data` and `run` of each unit; runs count from 0.
    """
    found = []
    for study, what in plan["studies"].items():
        for name in data_of(plan, what):
            about = plan["data"][name]
            if "folder" in about and not (data_folder and (data_folder / about["folder"]).is_dir()):
                continue
            limit = what.get("runs", about["runs"])  # one number, or one for some data sets
            runs = min(about["runs"], limit.get(name, about["runs"]) if isinstance(limit, dict) else limit)
            found += [{"study": study, "data": name, "run": run} for run in range(runs)]
    return found


def data_of(plan: dict[str, Any], study: dict[str, Any]) -> list[str]:
    """The data sets of a study, which may name a group of them."""
    names = study["data"]
    return list(plan["groups"][names] if isinstance(names, str) else names)


def unit(
    plan: dict[str, Any], study: str, data: str, run: int, preset: str, data_folder: Path | None
) -> dict[str, Any]:
    """Everything that a unit needs to know.

    Returns:
        `load` (arguments of `load_dataset`), `fold`, `seed`, `settings` (of `Config`), `arms` and `conditions`.
    """
    what, about = plan["studies"][study], plan["data"][data]
    load = dict(about["load"])
    fold = run + 1 if about["run"] == "fold" else None
    if fold is not None:
        load["fold"] = fold
    elif load["name"] == "leaves":
        load["seed"] = run  # other pictures, not only another start
    if "folder" in about and data_folder:
        load["root"] = str(data_folder / about["folder"])
    settings = plan["settings"] | about.get("settings", {}) | what.get("settings", {})
    conditions = [(dict(one), dict(one).pop("settings", {})) for one in what.get("conditions", [{}])]
    arms = {name: {"method": name} if arm is None else arm for name, arm in what["arms"].items()}
    if preset == "smoke":
        settings, conditions, arms = _small(settings, conditions, arms)
    return {
        "load": load,
        "fold": fold,
        "seed": run,
        "settings": settings | {"seed": run},
        "conditions": [({k: v for k, v in one.items() if k != "settings"}, own) for one, own in conditions],
        "arms": arms,
    }


def _small(
    settings: dict[str, Any], conditions: list[tuple[dict[str, Any], dict[str, Any]]], arms: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], dict[str, Any]]], dict[str, Any]]:
    """The same arms and conditions, an epoch each; what is 0 stays 0. A long tail is shorter where pictures are few."""

    def less(own: dict[str, Any]) -> dict[str, Any]:
        return {key: min(value, 1) if key in ("epochs1", "epochs2") else value for key, value in own.items()}

    arms = {name: arm | {"settings": less(arm.get("settings", {}))} for name, arm in arms.items()}
    fewer = [
        one | {"long_tail": min(one["long_tail"], 4)} if "long_tail" in one else one for one, _ in conditions
    ]
    return (
        settings | SMOKE_SETTINGS,
        [(one, less(own)) for one, (_, own) in zip(fewer, conditions, strict=True)],
        arms,
    )


def main() -> None:
    """Print the units of a preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="page", choices=PRESETS)
    parser.add_argument("--data", type=Path, help="folder of the real data sets")
    options = parser.parse_args()
    plan = read(options.preset)
    found = units(plan, options.data)
    for study, what in plan["studies"].items():
        mine = [one for one in found if one["study"] == study]
        rows = len(what["arms"]) * len(what.get("conditions", [{}]))
        print(f"{study:<18}{len(mine):>3} units of {rows:>2} rows  {what['question']}")
    print(f"{len(found)} units in all")


if __name__ == "__main__":
    main()
