"""The words of the playground: their data against the script that makes them, their scores against `ordinality`."""

import json
import math

import numpy as np
import playground_data
import pytest
from in_node import FOLDER, buttons, js, printed

from l2rclip_lite import load_towers
from l2rclip_lite.ranks import cyclic_permutation

WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
SETS = {each["key"]: each for each in WORDS["sets"]}


def test_the_data_file_is_small_and_complete_and_the_page_scores_it_as_the_package_does() -> None:
    """At most 300 kB, K(K−1)/2 cosines per template; from cosines rounded to 1e-6 the scores agree to 1e-4."""
    assert (FOLDER / "words.json").stat().st_size <= 300_000
    assert list(SETS) == list(playground_data.SETS)
    found = js(
        """({ sets, unit }) => sets.map(({ names, templates }) => templates.map(({ cosines }) => {
            const raw = ordinality.unfold(cosines, names.length, unit);
            return { raw: ordinality.scorer(raw)(), centred: ordinality.scorer(ordinality.centre(raw))() };
        }))""",
        **WORDS,
    )
    for ours, stored in zip(found, WORDS["sets"], strict=True):
        assert stored["shuffled"] == cyclic_permutation(len(stored["names"])).tolist()
        assert len(stored["templates"]) == len(playground_data.SETS[stored["key"]]["templates"]) + 1
        for scores, template in zip(ours, stored["templates"], strict=True):
            assert len(template["cosines"]) == math.comb(len(stored["names"]), 2)
            for kind in ("raw", "centred"):
                assert scores[kind] == pytest.approx(template[kind], abs=1e-4), stored["key"]


@pytest.mark.slow
def test_the_data_are_what_the_script_makes() -> None:
    """One rank set anew: cosines to 3e-6 (machines differ in float32), scores and words the same; and its copied script."""
    stored = SETS["severity"]
    made = playground_data.rank_set(
        load_towers("mini"), "severity", playground_data.SETS["severity"]
    )
    for now, then in zip(made["templates"], stored["templates"], strict=True):
        assert now["template"] == then["template"]
        assert np.abs(np.subtract(now["cosines"], then["cosines"])).max() <= 3
        for kind in ("raw", "centred"):
            assert now[kind] == pytest.approx(then[kind], abs=1e-4)
    assert made | {"templates": stored["templates"]} == stored
    call = "({ names, template }) => [true, false].map(kind => state.wordsScript(names, template, kind))"
    scripts = js(call, names=stored["names"], template=stored["templates"][0]["template"])
    for script, kind in zip(scripts, ("centred", "raw"), strict=True):
        expected = pytest.approx(stored["templates"][0][kind], abs=1e-4)
        assert json.loads(printed(script).replace("'", '"')) == expected


def test_what_the_page_says_about_the_words_is_so() -> None:
    """Tens make squares in words and not in digits."""
    states = [dict(part.split("=") for part in state.split("&")) for state in buttons("words")]
    assert [state["set"] for state in states] == ["ages-words", "ages-digits", "retina"]
    call = "({ cosines, unit }) => ordinality.centre(ordinality.unfold(cosines, 62, unit))"
    tens = np.array(
        [age % 10 == 9 for age in range(20, 77)]
    )  # 29 and 30, 39 and 40, … are in different tens
    for key, low, high in (("ages-words", 0.5, 1), ("ages-digits", -0.1, 0.1)):
        cosines = np.array(
            js(call, cosines=SETS[key]["templates"][0]["cosines"], unit=WORDS["unit"])
        )
        following = np.diag(cosines, 1)[4:]  # of each age from 20 on and the next one
        assert low < following[~tens].mean() - following[tens].mean() < high, (
            "one square per ten, or one band"
        )
