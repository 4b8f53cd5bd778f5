"""What `studies.yaml` and `search.yaml` say, as units of work.

It needs only PyYAML, so that Snakemake's own environment reads it.
"""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

STUDIES = Path(__file__).with_name("studies.yaml")
SEARCH = Path(__file__).with_name("search.yaml")
CLIP = Path(__file__).with_name("clip.yaml")
PRESETS = ("page", "search", "smoke")
# In miniature: every study, arm and condition, one run each, on generated leaves and with tiny
# random towers.
SMOKE_RANKS = {
    "bracol-area": 21,
    "apples81": 20,
    "hc18": 27,
    "cherries81": 20,
    "bracol": 5,
    "retinamnist": 5,
    "pears": 20,
    "portraits": 17,
    "leaves5": 5,
    "leaves20": 20,
    "leaves62": 62,
    "drawn-leaves": 62,
}
SMOKE_SETTINGS = {"towers": "tiny/random", "image_size": 32, "epochs1": 1, "epochs2": 1, "heads": 2}


def read(preset: str = "page") -> dict[str, Any]:
    """Return the plan of a preset.

    Args:
        preset: "page", the runs behind the book; "search", the recipes of each method; "smoke", one
            run of each study of these two, which takes seconds, on the first of its data sets and
            on those that no study before it has.

    Raises:
        ValueError: Another preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")

    file = SEARCH if preset == "search" else STUDIES
    plan: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if preset == "smoke":
        plan["studies"] |= read("search")["studies"]
        for name, ranks in SMOKE_RANKS.items():
            size = 110 if ranks == 5 else 8 * ranks
            load = {"name": "leaves", "ranks": ranks, "size": size, "pixels": 64}
            relatives = plan["data"][name].get("relatives", {})
            plan["data"][name] = {"load": load, "run": "seed", "runs": 1, "relatives": relatives}

        tried: set[str] = set()
        for facts in plan["studies"].values():
            first, *others = facts["data"]
            facts["data"] = [first, *(name for name in others if name not in tried)]
            tried.update(facts["data"])
    return plan


def read_clip(preset: str = "page") -> dict[str, Any]:
    """Return the plan of `make clip`: arms of `studies.yaml`, as `clip.yaml` chooses and sets them.

    Args:
        preset: See `read`.

    Returns:
        A plan, and in `towers` what is known of the weights of each.
    """
    plan = read(preset)
    clip = yaml.safe_load(CLIP.read_text(encoding="utf-8"))

    studies = {}
    for name, facts in clip["studies"].items():
        model = plan["studies"][facts["from"]]
        arms = {arm: model["arms"][arm] for arm in facts.get("arms", model["arms"])}
        settings = merged(model.get("settings", {}), clip["settings"], facts.get("settings", {}))
        studies[name] = model | facts | {"arms": arms, "settings": settings}
    return plan | {"studies": studies, "towers": clip["towers"]}


def dashed(text: str) -> str:
    """Return a text as a part of a path."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def code_commit() -> str:
    """Return the commit of the code, with a + where it has been changed since."""
    describe = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(describe, capture_output=True, text=True, cwd=folder)
    except OSError:  # there is no git
        return "unknown"
    return done.stdout.strip() or "unknown"


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return settings of which the later ones win; `controls` are merged name by name."""
    whole: dict[str, Any] = {}
    for part in parts:
        controls = whole.get("controls", {}) | part.get("controls", {})
        whole |= part
        if controls:
            whole["controls"] = controls
    return whole


def every_unit(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every unit of a plan, in the order of its studies.

    Args:
        plan: From `read`.

    Returns:
        `study`, `data` and `run` of each unit; runs count from 0.
    """
    every = []
    for study, facts in plan["studies"].items():
        for name in facts["data"]:
            n_runs = _n_runs(plan["data"][name])
            limit = facts.get("runs", n_runs)  # one number, or one for some data sets
            if isinstance(limit, dict):
                limit = limit.get(name, n_runs)
            for run in range(min(n_runs, limit)):
                every.append({"study": study, "data": name, "run": run})
    return every


def units(plan: dict[str, Any], data_folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the units of a plan that can be run.

    Args:
        plan: From `read`.
        data_folder: Units whose images are not in it, or those of a relative, are left out; None
            leaves out all that need a folder.
    """
    present = []
    for unit in every_unit(plan):
        needed = _needed_data(plan, unit["study"], unit["data"])
        if not any(_is_missing(data, data_folder) for data in needed):
            present.append(unit)
    return present


def missing_folders(plan: dict[str, Any], data_folder: Path | None = None) -> dict[str, Path]:
    """Return, by the name of its data set, each folder that is not there.

    Args:
        plan: From `read`.
        data_folder: Of all data sets; None has none of them.
    """
    root = data_folder or Path("DATA")
    every = plan["data"].items()
    return {name: root / data["folder"] for name, data in every if _is_missing(data, data_folder)}


def _needed_data(plan: dict[str, Any], study: str, name: str) -> list[dict[str, Any]]:
    """Return what a study loads on a data set: that one, and those its relatives are trained on."""
    data = plan["data"][name]
    needed = [data]
    for arm in plan["studies"][study]["arms"].values():
        if arm is None or "start" not in arm:
            continue
        relative = plan["relatives"][data["relatives"][arm["start"]]]
        if "shipped" not in relative:
            needed.append(plan["data"][relative["data"]])
    return needed


def _is_missing(data: dict[str, Any], data_folder: Path | None) -> bool:
    """Return whether a data set needs a folder that is not there."""
    if "folder" not in data:
        return False
    return data_folder is None or not (data_folder / data["folder"]).is_dir()


def _n_runs(data: dict[str, Any]) -> int:
    """Return how many runs a data set allows: seeds, or folds and their repeats."""
    if "runs" in data:
        return data["runs"]
    return len(data["folds"]) * data.get("repeats", 1)


def unit(
    plan: dict[str, Any], study: str, data: str, run: int, preset: str, data_folder: Path | None
) -> dict[str, Any]:
    """Return everything that a unit needs to know.

    Returns:
        `load` (arguments of `load_dataset`), `fold`, `seed`, `settings` (of `Config`), `arms`,
        `conditions` (each a condition and its own settings), and the `relatives` that arms begin
        with, by what they say to `start`.
    """
    facts = copy.deepcopy(plan["studies"][study])
    data_facts = plan["data"][data]
    load = _load(data_facts, run, data_folder)

    settings = merged(
        plan["settings"], data_facts.get("settings", {}), facts.get("settings", {}), {"seed": run}
    )
    arms = {}
    for name, arm in facts["arms"].items():
        own = {"method": name} if arm is None else arm
        arms[name] = {"method": facts["method"]} | own if "method" in facts else own
    conditions = []
    for condition in facts.get("conditions", [{}]):
        own_settings = condition.pop("settings", {})
        conditions.append((condition, own_settings))
    if preset == "smoke":
        settings = merged(settings, SMOKE_SETTINGS)
        _shrink(arms, conditions)

    kinds = [arm["start"] for arm in arms.values() if "start" in arm]
    relatives = {}
    for kind in dict.fromkeys(kinds):  # in order: Snakemake compares a unit as text
        name = data_facts["relatives"][kind]
        relatives[kind] = _relative(plan, name, run, preset, data_folder)
    return {
        "load": load,
        "fold": load["fold"] if data_facts["run"] == "fold" else None,
        "seed": run,
        "settings": settings,
        "conditions": conditions,
        "arms": arms,
        "relatives": relatives,
    }


def _relative(
    plan: dict[str, Any], name: str, run: int, preset: str, data_folder: Path | None
) -> dict[str, Any]:
    """Return a relative: its `name`, and how it is trained, or what is `shipped` of it."""
    facts = plan["relatives"][name]
    if "shipped" in facts and preset != "smoke":
        return {"name": name, "shipped": facts["shipped"]}

    seed = facts.get("seed", run)
    settings = merged(plan["settings"], facts["settings"], {"seed": seed})
    if preset == "smoke":  # random towers are drawn with the seed of the run
        settings = merged(settings, SMOKE_SETTINGS, {"seed": run})
        settings["epochs1"] = min(facts["settings"]["epochs1"], 1)
    return {
        "name": name,
        "load": _load(plan["data"][facts["data"]], seed, data_folder),
        "method": facts.get("method", "L2RCLIP"),
        "settings": settings,
    }


def _load(data: dict[str, Any], run: int, data_folder: Path | None) -> dict[str, Any]:
    """Return the arguments of `load_dataset` for one run."""
    load = dict(data["load"])
    if data["run"] == "fold":
        repeat, place = divmod(run, len(data["folds"]))
        load["fold"] = data["folds"][place]
        if "repeats" in data:
            load["seed"] = repeat  # each repeat draws its folds anew
    elif load["name"] == "leaves":
        load["seed"] = run  # other images, not only another start

    if "folder" in data and data_folder:
        load["root"] = str(data_folder / data["folder"])
    return load


def _shrink(
    arms: dict[str, dict[str, Any]], conditions: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    """Change the arms and conditions of a study so that a run takes seconds."""
    own_settings = [settings for _, settings in conditions]
    own_settings += [arm.setdefault("settings", {}) for arm in arms.values()]
    for settings in own_settings:
        for name in ("epochs1", "epochs2"):
            if name in settings:
                settings[name] = min(settings[name], 1)

    for arm in arms.values():
        arm.pop("blocks", None)  # tiny towers have none
    for condition, _ in conditions:
        if "long_tail" in condition:  # so few images have no longer tail
            condition["long_tail"] = min(condition["long_tail"], 4)
