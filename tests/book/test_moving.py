"""Figures that move: their data, the words of the pages about them, and their JavaScript."""

import json
from typing import Any

import chapters
import motion_data
import numpy as np
from in_node import run_node

BOOK = chapters.ROOT / "book"
MOTION = json.loads((BOOK / "results" / "motion.json").read_text(encoding="utf-8"))
ATTENTION = json.loads((BOOK / "results" / "attention.json").read_text(encoding="utf-8"))


def js(module: str, expression: str, **values: object) -> Any:
    """Return the value of a JavaScript function of one object, which sees a module as `m`."""
    address = json.dumps((BOOK / "_static" / "moving" / f"{module}.mjs").as_uri())
    script = f"""
        import * as m from {address};
        const values = JSON.parse(await new Response(process.stdin).text());
        console.log(JSON.stringify(({expression})(values)));
    """
    return run_node(["--input-type=module", "--eval", script], json.dumps(values))


def test_one_side_stands_still_in_each_stage() -> None:
    """Images of L2RCLIP in stage 1, its sentences in stage 2; all of cross-entropy in stage 1."""
    ours, rival = MOTION["panels"]
    first, second = MOTION["epochs"]
    epochs = range(first + second + 1)
    assert ours["frames"] == [[max(0, e - first), min(e, first)] for e in epochs]
    assert rival["frames"] == [[max(0, e - first)] * 2 for e in epochs]


def test_the_map_holds_every_place_in_a_small_file() -> None:
    """All images and 10 ranks, within the box; at most 300 kB."""
    for name in ("motion", "attention"):
        assert (BOOK / "results" / f"{name}.json").stat().st_size <= 300_000
    for panel in MOTION["panels"]:
        for name, count in (("images", len(MOTION["labels"])), ("ranks", 10)):
            for numbers in panel[name]:
                places = np.array(numbers).reshape(count, 2)
                assert (places >= 0).all()
                assert (places <= MOTION["box"]).all()


def test_the_plane_is_that_of_clouds_about_their_means() -> None:
    """A line and a weaker bend, far from the origin, in five dimensions; signs by the rank."""
    labels = np.arange(9)
    bend = (labels - 4.0) ** 2 / 4
    cloud = np.full((9, 5), 7.0)
    cloud[:, 1] -= labels
    cloud[:, 3] += bend
    plane = motion_data.fixed_plane([cloud, 2 * cloud], labels)
    assert np.allclose(plane, [[0, -1, 0, 0, 0], [0, 0, 0, 1, 0]], atol=1e-9)


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
    call = "({ stored }) => [[0, 2], [2, 1], [3, 0]].map(c => m.reading(m.slotOf(stored, 0.1), c))"
    own, other, none = js("attention", call, stored=stored)
    assert own.startswith("“damage” gives its own 2 copies 60 % of its attention before and 90 %")
    assert other.endswith(
        "the one “low” 40 % of its attention before and 10 % after; an even share is 33 %."
    )
    assert none.startswith("No word")
