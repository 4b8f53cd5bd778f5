"""The words of the playground: their data against the script, their scores against `ordinality`."""

import json
import math
import re

import numpy as np
import playground_data
import pytest
from in_node import FOLDER, buttons, js, printed

from l2rclip_lite import load_towers
from l2rclip_lite.method.ranks import cyclic_permutation

WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
SETS = {each["key"]: each for each in WORDS["sets"]}


def test_the_data_file_is_small_and_complete() -> None:
    """At most 300 kB; K(K−1)/2 cosines a template, and one template more than the script's."""
    assert (FOLDER / "words.json").stat().st_size <= 300_000
    assert list(SETS) == list(playground_data.SETS)
    assert {re.search(r"set=([\w-]+)", state)[1] for state in buttons("words")} <= set(SETS)
    for key, stored in SETS.items():
        count = len(stored["names"])
        assert stored["shuffled"] == cyclic_permutation(count).tolist()
        assert len(stored["templates"]) == len(playground_data.SETS[key]["templates"]) + 1
        for template in stored["templates"]:
            assert len(template["cosines"]) == math.comb(count, 2)


def test_the_page_scores_words_as_the_package_does() -> None:
    """From cosines rounded to 1e-6 the scores agree to 1e-4."""
    call = """({ sets, unit }) => sets.map(({ names, templates }) =>
        templates.map(({ cosines }) => {
            const raw = ordinality.unfold(cosines, names.length, unit);
            const centred = ordinality.centre(raw);
            return { raw: ordinality.scorer(raw)(), centred: ordinality.scorer(centred)() };
        }))"""
    for scores_of_set, stored in zip(js(call, **WORDS), WORDS["sets"], strict=True):
        for scores, template in zip(scores_of_set, stored["templates"], strict=True):
            assert scores["raw"] == pytest.approx(template["raw"], abs=1e-4), stored["key"]
            assert scores["centred"] == pytest.approx(template["centred"], abs=1e-4), stored["key"]


@pytest.mark.slow
def test_the_data_are_what_the_script_makes() -> None:
    """One rank set anew: cosines to 3e-6, since machines differ in float32; words the same."""
    stored = SETS["severity"]
    made = playground_data.rank_set(
        load_towers("mini"), "severity", playground_data.SETS["severity"]
    )
    for new, old in zip(made["templates"], stored["templates"], strict=True):
        assert new["template"] == old["template"]
        assert np.abs(np.subtract(new["cosines"], old["cosines"])).max() <= 3  # in 1e-6
        assert new["raw"] == pytest.approx(old["raw"], abs=1e-4)
        assert new["centred"] == pytest.approx(old["centred"], abs=1e-4)
    assert made | {"templates": stored["templates"]} == stored


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raw", "centred"])
def test_the_script_that_the_page_offers_prints_the_score(kind: str) -> None:
    """It is run with the package."""
    stored = SETS["severity"]
    template = stored["templates"][0]
    script = js(
        "({ names, template, centred }) => state.wordsScript(names, template, centred)",
        names=stored["names"],
        template=template["template"],
        centred=kind == "centred",
    )
    scores = json.loads(printed(script).replace("'", '"'))
    assert scores == pytest.approx(template[kind], abs=1e-4)
