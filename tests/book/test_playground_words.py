"""The words of the playground: their data against the script that makes them, their scores against `ordinality`."""

from __future__ import annotations

import json
import math

import numpy as np
import playground_data
import pytest
import torch
import torch.nn.functional as F
from in_node import FOLDER, buttons, js, printed

from l2rclip_lite import load_towers
from l2rclip_lite.controls import one_cycle
from l2rclip_lite.ordinality import ordinality
from l2rclip_lite.prompts import centred

WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))


def test_scores_are_the_packages_for_every_rank_set() -> None:
    """From cosines rounded to 1e-6, page and package agree to 1e-4: at most a triple or two falls the other way."""
    found = js(
        """({ sets, unit }) => sets.map(({ names, templates }) => templates.map(({ cosines }) => {
            const raw = ordinality.unfold(cosines, names.length, unit);
            return { raw: ordinality.scorer(raw)(), centred: ordinality.scorer(ordinality.centre(raw))() };
        }))""",
        **WORDS,
    )
    for ours, theirs in zip(found, WORDS["sets"], strict=True):
        for mine, template in zip(ours, theirs["templates"], strict=True):
            for kind in ("raw", "centred"):
                assert mine[kind] == pytest.approx(template[kind], abs=1e-4), (
                    theirs["key"],
                    template["template"],
                )


def test_scores_of_random_features_in_any_order() -> None:
    """Features of 4 to 12 ranks, one set with two equal rows (ties), in order and shuffled."""
    generator = torch.Generator().manual_seed(2)
    cases, expected = [], []
    for count in (4, 5, 7, 12):
        rows = F.normalize(torch.randn(count, 3 + count, generator=generator, dtype=torch.float64), dim=1)
        if count == 7:
            rows[3] = rows[1]
        order = one_cycle(count)
        cases.append({"cosines": (rows @ rows.T).tolist(), "order": order.tolist()})
        expected.append([ordinality(rows), ordinality(rows[order]), ordinality(centred(rows))])
    call = """({ cases }) => cases.map(({ cosines, order }) => {
        const score = ordinality.scorer(cosines), moved = ordinality.scorer(ordinality.centre(cosines));
        return [score(), score(order), moved()];
    })"""
    for ours, theirs in zip(js(call, cases=cases), expected, strict=True):
        for mine, score in zip(ours, theirs, strict=True):
            assert mine == pytest.approx(score, abs=1e-9)


@pytest.mark.slow
def test_the_data_are_what_the_script_makes() -> None:
    """One rank set anew: cosines to 3e-6 (machines differ in float32), scores and words the same; and its copied script."""
    chosen = next(each for each in playground_data.SETS if each.key == "severity")
    stored = next(each for each in WORDS["sets"] if each["key"] == chosen.key)
    made = playground_data.of_set(load_towers("mini"), chosen)
    assert made.keys() == stored.keys()
    for now, then in zip(made.pop("templates"), stored["templates"], strict=True):
        assert now["template"] == then["template"]
        assert np.abs(np.subtract(now["cosines"], then["cosines"])).max() <= 3
        for kind in ("raw", "centred"):
            assert now[kind] == pytest.approx(then[kind], abs=1e-4)
    assert made == {key: value for key, value in stored.items() if key != "templates"}
    template = stored["templates"][0]
    call = (
        "({ names, template }) => [true, false].map(centred => state.wordsScript(names, template, centred))"
    )
    for script, kind in zip(
        js(call, names=stored["names"], template=template["template"]), ("centred", "raw"), strict=True
    ):
        assert eval(printed(script)) == pytest.approx(template[kind], abs=1e-4)


def test_the_data_file_is_small_and_complete() -> None:
    """At most 300 kB; every set of the script is in it, with all templates, K(K−1)/2 cosines and the package's shuffle."""
    assert (FOLDER / "words.json").stat().st_size <= 300_000
    assert [each["key"] for each in WORDS["sets"]] == [each.key for each in playground_data.SETS]
    for stored, chosen in zip(WORDS["sets"], playground_data.SETS, strict=True):
        assert tuple(stored["names"]) == chosen.names
        assert stored["shuffled"] == one_cycle(len(chosen.names)).tolist()
        assert [each["template"] for each in stored["templates"]] == [*chosen.templates, "{rank}"]
        assert {len(each["cosines"]) for each in stored["templates"]} == {math.comb(len(chosen.names), 2)}


def mean_cosines(key: str) -> dict[str, float]:
    """Mean centred cosine between ages 20 … 77 by what the two ages have in common, in the first template."""
    stored = next(each for each in WORDS["sets"] if each["key"] == key)
    call = "({ cosines, unit }) => ordinality.centre(ordinality.unfold(cosines, 62, unit))"
    found = np.array(js(call, cosines=stored["templates"][0]["cosines"], unit=WORDS["unit"]))
    low, high = np.triu_indices(len(found), 1)
    cosines, low, high = found[low, high], low + 16, high + 16
    ten, words = low // 10 == high // 10, (low > 20) & (low % 10 > 0)
    chosen = {
        "next in the ten": ten & (high - low == 1),
        "next in another ten": ~ten & (high - low == 1),
        "first and last of the ten": ten & (high - low == 9),
        "same last word": words & (high - low == 10),
        "eleven apart": words & (high - low == 11),
    }
    return {name: float(cosines[rows & (low >= 20)].mean()) for name, rows in chosen.items()}


def test_what_the_page_says_about_the_words_is_so() -> None:
    """Tens make squares in words and not in digits; bare retina grades lose to most of 200 random orders."""
    states = [dict(part.split("=") for part in state.split("&")) for state in buttons("words")]
    assert [state["set"] for state in states] == ["ages-words", "ages-digits", "retina"]
    words, digits = mean_cosines("ages-words"), mean_cosines("ages-digits")
    assert words["next in the ten"] - words["next in another ten"] > 0.5, "squares, one a ten"
    assert words["first and last of the ten"] > 0.9 * words["next in the ten"], "within a ten hardly the year"
    assert words["same last word"] > words["eleven apart"] + 0.1, "thin lines beside the diagonal"
    assert abs(digits["next in the ten"] - digits["next in another ten"]) < 0.1, "one band"
    retina = next(each for each in WORDS["sets"] if each["key"] == "retina")["templates"]
    bare = retina[int(states[2]["template"])]
    assert bare["template"] == "{rank}"
    better = js(
        """({ cosines, unit }) => {
            const score = ordinality.scorer(ordinality.centre(ordinality.unfold(cosines, 5, unit))), own = score();
            const others = Array.from({ length: 200 }, (_, i) => score(ordinality.shuffle(5, i)));
            return Object.keys(own).map(key => others.filter(other => other[key] > own[key]).length);
        }""",
        cosines=bare["cosines"],
        unit=WORDS["unit"],
    )
    assert min(better) > 100


def test_shuffles_are_permutations() -> None:
    """Every rank once, and another seed another order."""
    drawn = js("() => [1, 2, 3].map(seed => ordinality.shuffle(20, seed))")
    assert [sorted(order) for order in drawn] == [list(range(20))] * 3
    assert len({tuple(order) for order in drawn}) == 3
