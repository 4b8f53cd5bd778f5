"""What `studies.yaml` and `search.yaml` say, as units of work.

It needs only PyYAML, so that Snakemake's own environment reads it.
"""

from __future__ import annotations

import copy
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
FIVE_RANKS = ("bracol", "retinamnist", "leaves5")  # the other data sets have twenty
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
        _shrink(plan)
    for facts in plan["studies"].values():
        facts["arms"] = {name: _arm(name, facts) for name in facts["arms"]}
    return plan


def _arm(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return an arm of a study; one without a method has that of the study, or is one itself."""
    own = facts["arms"][name]
    if own is None:
        return {"method": name}
    if "method" in facts:
        return {"method": facts["method"]} | own
    return own


def _shrink(plan: dict[str, Any]) -> None:
    """Change a plan so that all of it takes minutes."""
    for name, facts in plan["data"].items():
        load = {"name": "leaves", "ranks": 20, "size": 160, "pixels": 64}
        if name in FIVE_RANKS:
            load |= {"ranks": 5, "size": 110}
        relatives = facts.get("relatives", {})
        plan["data"][name] = {"load": load, "run": "seed", "runs": 1, "relatives": relatives}

    tried: set[str] = set()
    for facts in plan["studies"].values():
        first, *others = facts["data"]
        facts["data"] = [first, *(name for name in others if name not in tried)]
        tried.update(facts["data"])
        facts["settings"] = merged(facts.get("settings", {}), SMOKE_SETTINGS)
        for part in [*facts["arms"].values(), *facts.get("conditions", [])]:
            if part is not None:
                _shrink_part(part)

    for relative in plan["relatives"].values():
        relative.pop("shipped", None)
        relative.pop("seed", None)  # random towers are drawn with the seed of the run
        epochs1 = {"epochs1": min(relative["settings"]["epochs1"], 1)}
        relative["settings"] = merged(relative["settings"], SMOKE_SETTINGS, epochs1)


def _shrink_part(part: dict[str, Any]) -> None:
    """Change an arm or a condition of a study so that a run takes seconds."""
    part.pop("blocks", None)  # tiny towers have none
    if "long_tail" in part:  # so few images have no longer tail
        part["long_tail"] = min(part["long_tail"], 4)
    settings = part.get("settings", {})
    for name in settings.keys() & {"epochs1", "epochs2"}:
        settings[name] = min(settings[name], 1)


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
            data = plan["data"][name]
            n_runs = data.get("runs") or len(data["folds"]) * data.get("repeats", 1)
            limit = facts.get("runs", n_runs)  # one number, or one for some data sets
            if isinstance(limit, dict):
                limit = limit.get(name, n_runs)
            for run in range(min(n_runs, limit)):
                every.append({"study": study, "data": name, "run": run})
    return every


def name_of(unit: dict[str, Any]) -> str:
    """Return the name of a unit, such as "main/hc18-0"."""
    return f"{unit['study']}/{unit['data']}-{unit['run']}"


def units(plan: dict[str, Any], data_folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the units of a plan that can be run.

    Args:
        plan: From `read`.
        data_folder: Units whose images are not in it, or those of a relative, are left out; None
            leaves out all that need a folder.
    """
    missing = missing_folders(plan, data_folder)
    present = []
    for unit in every_unit(plan):
        if missing.keys().isdisjoint(_needed_data(plan, unit["study"], unit["data"])):
            present.append(unit)
    return present


def missing_folders(plan: dict[str, Any], data_folder: Path | None = None) -> dict[str, Path]:
    """Return, by the name of its data set, each folder that is not there.

    Args:
        plan: From `read`.
        data_folder: Of all data sets; None has none of them.
    """
    missing = {}
    for name, facts in plan["data"].items():
        if "folder" in facts:
            folder = (data_folder or Path("DATA")) / facts["folder"]
            if data_folder is None or not folder.is_dir():
                missing[name] = folder
    return missing


def _needed_data(plan: dict[str, Any], study: str, name: str) -> list[str]:
    """Return what a study loads on a data set: that one, and those its relatives are trained on."""
    needed = [name]
    for arm in plan["studies"][study]["arms"].values():
        if "start" in arm:
            relative = plan["relatives"][plan["data"][name]["relatives"][arm["start"]]]
            if "shipped" not in relative:
                needed.append(relative["data"])
    return needed


def unit(
    plan: dict[str, Any], study: str, data: str, run: int, data_folder: Path | None
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
    settings = merged(plan["settings"], facts.get("settings", {}), {"seed": run})

    conditions = []
    for condition in facts.get("conditions", [{}]):
        own_settings = condition.pop("settings", {})
        conditions.append((condition, own_settings))

    kinds = [arm["start"] for arm in facts["arms"].values() if "start" in arm]
    relatives = {}
    for kind in dict.fromkeys(kinds):  # in order: Snakemake compares a unit as text
        relatives[kind] = _relative(plan, data_facts["relatives"][kind], run, data_folder)
    return {
        "load": load,
        "fold": load["fold"] if data_facts["run"] == "fold" else None,
        "seed": run,
        "settings": settings,
        "conditions": conditions,
        "arms": facts["arms"],
        "relatives": relatives,
    }


def _relative(
    plan: dict[str, Any], name: str, run: int, data_folder: Path | None
) -> dict[str, Any]:
    """Return a relative: its `name`, and how it is trained, or what is `shipped` of it."""
    facts = plan["relatives"][name]
    if "shipped" in facts:
        return {"name": name, "shipped": facts["shipped"]}

    seed = facts.get("seed", run)
    return {
        "name": name,
        "load": _load(plan["data"][facts["data"]], seed, data_folder),
        "method": facts.get("method", "L2RCLIP"),
        "settings": merged(plan["settings"], facts["settings"], {"seed": seed}),
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
