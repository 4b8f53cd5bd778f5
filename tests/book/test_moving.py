"""Figures that move: their data, and what their JavaScript says of them."""

import json
from typing import Any

import chapters
from in_node import run_node

RESULTS = chapters.BOOK / "results"
MOTION = json.loads((RESULTS / "motion.json").read_text(encoding="utf-8"))
ATTENTION = json.loads((RESULTS / "attention.json").read_text(encoding="utf-8"))


def js(module: str, expression: str, **values: object) -> Any:
    """Return the value of a JavaScript function of one object, which sees a module as `m`."""
    address = json.dumps((chapters.BOOK / "_static" / "moving" / f"{module}.mjs").as_uri())
    script = f"""
        import * as m from {address};
        const values = JSON.parse(await new Response(process.stdin).text());
        console.log(JSON.stringify(({expression})(values)));
    """
    return run_node(["--input-type=module", "--eval", script], json.dumps(values))


def test_a_frame_of_the_page_is_that_of_the_file_and_the_slider_names_it() -> None:
    """Images, then ranks, of the last epoch; the first moment of stage 2 in the page's words."""
    assert js("motion", "() => m.moment({ epochs: [2, 4] }, 3)") == "stage 2, epoch 1 of 4"
    ours = MOTION["panels"][0]
    places = js("motion", "({ panel }) => m.places(panel, panel.frames.length - 1)", panel=ours)
    assert places == ours["images"][-1] + ours["ranks"][-1]


def test_damage_looks_at_its_own_copies() -> None:
    """What chapter 4 says, of each run: more than before, and more than an even share."""
    for rank_set in ATTENTION["sets"]:
        for row in rank_set["copies"]:
            assert row["after"] > max(row["before"], row["even"])


def test_the_page_reads_a_cell() -> None:
    """Two of three words are "damage"; they give each other 0.45, and 0.1 to "low"."""
    stored = {"words": ["damage", "low"], "of": [0, 1, 0, None]}
    stored |= {"before": [[3, 4], [3, 4]], "after": [[4.5, 1], [2, 6]]}
    call = "({ stored }) => [[0, 2], [2, 1]].map(c => m.reading(m.slotOf(stored, 0.1), c))"
    own, other = js("attention", call, stored=stored)
    assert own.startswith("“damage” gives its own 2 copies 60 % of its attention before and 90 %")
    assert other.endswith("40 % of its attention before and 10 % after; an even share is 33 %.")
