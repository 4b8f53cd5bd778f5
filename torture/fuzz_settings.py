"""Settings, label spaces, numbers in words and the options of protocols, from JSON, YAML and Python."""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import plan as planning
import yaml
from fuzz_inputs import WRONG, Case, Draw, as_json, damaged, whether_intact, wrong
from fuzz_worker import Target
from hypothesis import strategies as st

from l2rclip_lite.config import Config
from l2rclip_lite.data import load_dataset
from l2rclip_lite.data.base import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import NO_TEXT, Ranks, number_words

HINTS = get_type_hints(Config)
VALUES: dict[Any, tuple[Any, ...]] = {
    bool: (True, False),
    int: (1, 2, 7, 64),
    float: (0.25, 0.5, 1e-4),
    str: ("mini", "ViT-B-16/openai"),
}


def targets() -> list[Target]:
    """Everything that is set by a name and a value."""
    return [
        Target("config", config_case, read_config, share=4),
        Target("ranks", ranks_case, read_ranks, share=2),
        Target("number words", words_case, read_words),
        Target("protocols", protocol_case, read_protocol, share=2),
        Target("sweep.yaml", sweep_case, read_sweep),
    ]


def config_case(draw: Draw) -> Case:
    """Settings as JSON gives them; some valid, then one of them of another kind."""
    state = Config().to_dict()
    for name in draw(st.lists(st.sampled_from(sorted(HINTS)), max_size=4, unique=True)):
        if name == "scheme" or name == "prototypes" or name == "push_power":  # they hang on other settings
            continue
        state[name] = _valid(draw, name, state[name])
    if whether_intact(draw):
        return Case(True, state, state)
    try:
        return Case(False, json.loads(as_json(wrong(draw, state))))
    except (ValueError, RecursionError):  # no JSON, which is the business of who reads the file
        return Case(False, state | {draw(st.sampled_from(sorted(state))): [[[]]]})


def _valid(draw: Draw, name: str, standard: Any) -> Any:
    """A value that a setting takes."""
    if name in ("alpha", "warmup"):
        return draw(st.sampled_from((0.0, 0.5)))
    choices = get_args(HINTS[name])
    if choices and isinstance(choices[0], str):
        return draw(st.sampled_from(choices))
    kinds = choices or (HINTS[name],)
    return draw(st.sampled_from([value for kind in kinds for value in VALUES.get(kind, (None,))]))


def read_config(folder: Path, case: Case) -> None:
    """`Config.from_dict`; what it accepts has the declared types and is read back the same."""
    config = Config.from_dict(case.content)
    assert not case.intact or config.to_dict() == case.meant
    again = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert json.dumps(config.to_dict(), allow_nan=False)
    for name, hint in HINTS.items():
        kinds = [kind for kind in get_args(hint) or (hint,) if isinstance(kind, type)]
        value = getattr(config, name)
        known = isinstance(value, str) or type(value) in kinds or (type(value) is int and float in kinds)
        assert known, (name, value)


def ranks_case(draw: Draw) -> Case:
    """A label space as JSON gives it."""
    names = draw(
        st.lists(st.text(min_size=1, max_size=5).filter(_printable), min_size=2, max_size=6, unique=True)
    )
    start, step = draw(st.sampled_from((0, -3, 0.5))), draw(st.sampled_from((1, 0.25, 10)))
    values = [start + step * place for place in range(len(names))]
    state = {
        "names": names,
        "values": values,
        "template": "a {rank} leaf",
        "unit": draw(st.sampled_from(("grade", ""))),
    }
    if whether_intact(draw):
        return Case(True, state, state)
    try:
        return Case(False, json.loads(as_json(wrong(draw, state))))
    except (ValueError, RecursionError):
        many = [str(n) for n in range(draw(st.sampled_from((2, 30_000))))]
        return Case(False, state | {"names": many + many[:1], "values": [*range(len(many) + 1)]})


def _printable(name: str) -> bool:
    return bool(name.strip()) and not any(unicodedata.category(sign) in NO_TEXT for sign in name)


def read_ranks(folder: Path, case: Case) -> None:
    """`Ranks.from_dict`; what it accepts can be written to a file and read back."""
    ranks = Ranks.from_dict(case.content)
    assert Ranks.from_dict(json.loads(json.dumps(ranks.to_dict(), allow_nan=False))) == ranks
    assert not case.intact or (list(ranks.names), list(ranks.values)) == (
        case.meant["names"],
        case.meant["values"],
    )
    assert "\n".join(ranks.sentences).encode()
    assert bool((ranks.values_tensor().diff() >= 0).all())


def words_case(draw: Draw) -> Case:
    """A number, or what is none."""
    if whether_intact(draw):
        return Case(True, draw(st.integers(-(10**9) + 1, 10**9 - 1)))
    return Case(False, draw(st.sampled_from((*WRONG, 10**9, -(10**9), 10**4_000, 1.5))))


def read_words(folder: Path, case: Case) -> None:
    """`number_words`; an independent reading of the words gives the number again."""
    words = number_words(case.content)
    assert _number(words) == case.content, words
    assert "-" not in words, words


def _number(words: str) -> int:
    """What English words say."""
    small = {number_words(n): n for n in range(20)} | {number_words(n): n for n in range(20, 100, 10)}
    total = part = 0
    sign = -1 if words.startswith("minus ") else 1
    for word in words.removeprefix("minus ").split():
        if word == "hundred":
            part *= 100
        elif word in ("thousand", "million"):
            total += part * (1000 if word == "thousand" else 10**6)
            part = 0
        else:
            part += small[word]
    return sign * (total + part)


def protocol_case(draw: Draw) -> Case:
    """A protocol with a number that it takes, or with anything."""
    valid = {"few_shot": (1, 2, 99), "label_shift": ("1:0.5", "5:0.1", " 2 : 0.2"), "long_tail": (1, 2.5, 4)}
    valid |= {"rebin": (2, 3, 4), "hold_out": (2, 3), "protocol_seed": (0, 7, 2**70)}
    name = draw(st.sampled_from([*valid][:-1]))
    options = {name: draw(st.sampled_from(valid[name]))}
    if draw(st.booleans()):
        options["protocol_seed"] = draw(st.sampled_from(valid["protocol_seed"])) if name != "hold_out" else 0
    if whether_intact(draw):
        return Case(True, options)
    shifts = (
        "1:",
        ":",
        ":1",
        "1:0.5:3",
        "1:nan",
        "1:inf",
        "1:1e-400",
        "٣:0.5",
        "1_0:0.1",
        "9" * 5_000 + ":0.1",
        "-1:0.1",
    )
    changed = draw(
        st.sampled_from((name, "protocol_seed", "size", "pixels", "seed", "ranks", "subject_disjoint", "x"))
    )
    return Case(False, options | {changed: draw(st.sampled_from((*WRONG, *shifts)))})


@cache
def _leaves() -> OrdinalDataset:
    return load_dataset("leaves", size=60)


def read_protocol(folder: Path, case: Case) -> None:
    """`load_dataset` of drawn leaves; the record says what was done, and nothing but training loses pictures."""
    data = load_dataset("leaves", **{"size": 60} | case.content)
    if case.intact:
        assert len(data.protocol) == 1, data.protocol
        assert len(data.train) <= len(_leaves().train)
        assert len(data.test) == len(_leaves().test)


def sweep_case(draw: Draw) -> Case:
    """The file of the sweep that users write."""
    text = planning.SWEEP.read_text(encoding="utf-8")
    state = yaml.safe_load(text)
    if whether_intact(draw):
        count = draw(st.integers(1, 4))
        state["grid"] = {"lr1": [0.5**n for n in range(count)], "lambda2": [0.0, 1.0]}
        return Case(True, yaml.safe_dump(state).encode(), 2 * count)
    if draw(st.booleans()):
        return Case(False, as_json(wrong(draw, state)))  # JSON is YAML
    return Case(False, damaged(draw, text.encode()))


def read_sweep(folder: Path, case: Case) -> None:
    """`plan.read_sweep` and the units it stands for."""
    (folder / "sweep.yaml").write_bytes(case.content)
    try:
        plan = planning.read_sweep(folder / "sweep.yaml")
    except ValueError as error:  # the plan needs nothing of the package, and so not its errors
        if str(error).startswith("sweep.yaml: "):
            raise InputError(str(error)) from error
        raise
    found = planning.units(plan)
    assert not case.intact or len(plan["studies"]) == case.meant
    for one in found[:3]:
        planning.unit(plan, one["study"], one["data"], one["run"], "sweep", None)
