"""The JavaScript of the pages against the package: losses, words, figures that move.

Node runs the modules of `book/_static`; `tools/check_playground.mjs` and `tools/check_moving.mjs`
open the built pages in a browser.
"""

import json
import re
from typing import Any

import chapters
import numpy as np
import playground_data
import pytest
import torch
import torch.nn.functional as F
from in_node import FOLDER, buttons, js, printed, run_node

from l2rclip_lite import load_towers
from l2rclip_lite.method.losses import ordinal_pairwise_loss, rank_weights
from l2rclip_lite.method.ranks import cyclic_permutation

# --- losses ---------------------------------------------------------------------------------------


def random_case(number: int, draw: np.random.Generator) -> dict[str, Any]:
    """Return 1 to 6 images, 3 to 7 ranks, 2 to 8 dimensions, and the options of a loss."""
    ranks, batch, dim = draw.integers((3, 1, 2), (8, 7, 9)).tolist()
    text = F.normalize(torch.tensor(draw.standard_normal((ranks, dim))))
    image = F.normalize(torch.tensor(draw.standard_normal((batch, dim))))
    values = torch.tensor(draw.uniform(0.1, 1, ranks)).cumsum(0)  # uneven
    return {
        "image": image.tolist(),
        "text": text.tolist(),
        "target": draw.integers(ranks, size=batch).tolist(),
        "values": values.tolist(),
        "normalise": ("batch", "global")[number % 2],
        "order": ("true", "blind", "shuffled")[number % 3],
        "power": 1 + number // 2 % 2,
        "scale": float(1 + 19 * number / 39),
    }


def package_results(case: dict[str, Any]) -> list[Any]:
    """Return weights, both losses and their forces on the images, from the package."""
    image = torch.tensor(case["image"], dtype=torch.float64).requires_grad_()
    text = torch.tensor(case["text"], dtype=torch.float64)
    values = torch.tensor(case["values"], dtype=torch.float64)
    target = torch.tensor(case["target"])

    options = {name: case[name] for name in ("normalise", "order")}
    weights = rank_weights(target, values, **options)
    pairwise = ordinal_pairwise_loss(
        image, text, target, values, push_power=case["power"], **options
    )
    entropy = F.cross_entropy(case["scale"] * image @ text.T, target)
    forces = [-torch.autograd.grad(loss, image)[0] for loss in (pairwise, entropy)]
    return [weights, torch.stack([pairwise, entropy]).detach(), *forces]


PAGE_RESULTS = """({ cases }) => cases.map(({ image, text, target, values, scale, ...options }) => {
    const total = forces => forces.map(({ pull, push }) =>
        pull.map((x, d) => x + push.reduce((sum, f) => sum + f[d], 0)));
    return [losses.rankWeights(target, values, options), [
        losses.ordinalPairwise(image, text, target, values, options).loss,
        losses.crossEntropy(image, text, target, scale).loss,
    ],
        total(losses.ordinalPairwiseForces(image, text, target, values, options)),
        total(losses.crossEntropyForces(image, text, target, scale)),
    ];
})"""


def test_weights_losses_and_forces_are_the_packages() -> None:
    """Forty random batches, all in one call of node.

    A browser cannot draw the shuffled order, so it is written down for every K of the page.
    """
    written = js("() => losses.ONE_CYCLE")
    assert written == {str(count): cyclic_permutation(count).tolist() for count in range(2, 8)}

    draw = np.random.default_rng(1)
    cases = [random_case(number, draw) for number in range(40)]
    for page, case in zip(js(PAGE_RESULTS, cases=cases), cases, strict=True):
        for ours, theirs in zip(page, package_results(case), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(
    "link",
    [
        "loss=ce&scale=7.5&ranks=3&own=2&image=-12.3",
        "loss=both&lambda=0.7&order=shuffled&normalise=global&power=2&ranks=6&own=0"
        "&texts=-100,-20.5,3,40,90,120&image=180",
    ],
)
def test_a_link_holds_the_state_and_its_python_prints_the_loss_of_the_page(link: str) -> None:
    """parse(format(s)) = s; the script of a state is executed with the package."""
    before, after, script, loss = js(
        """({ link }) => {
            const s = state.parse(link);
            const loss = losses.measure(s).sum.loss;
            return [s, state.parse(state.format(s)), state.lossScript(s), loss];
        }""",
        link=link,
    )
    assert after == before
    assert float(printed(script)) == pytest.approx(loss, abs=1.1e-6)


def slide(link: str, **changes: object) -> tuple[float, int]:
    """Let the image slide to rest, change the state, and let it slide again.

    Returns:
        Degrees beyond its own text, and the answer.
    """
    call = """({ link, changes }) => {
        const slid = from => ({ ...from, image: losses.slide(from).at(-1) });
        const end = slid({ ...slid(state.parse(link)), ...changes });
        return [end.image - end.texts[end.own], losses.answer(end).rank];
    }"""
    return tuple(js(call, link=link, changes=changes))


def test_what_the_page_asks_a_reader_to_try_happens() -> None:
    """Behind its four buttons; what is claimed of each stands beside it."""
    first, second, third, fourth = buttons("loss")
    fan = js("() => state.ARRANGEMENTS.fan.angles(5)")
    assert -10 < slide(first)[0] < -3  # a little beyond its own text
    assert 3 < abs(slide(second, order="blind")[0]) < 10  # blind: beside its text; true: on it
    assert slide(second, order="true")[0] == pytest.approx(0, abs=0.01)
    assert slide(third)[0] < -45  # cross-entropy goes on and on, the ordinal loss does not
    assert abs(slide(third, loss="ordinal")[0]) < 10
    assert slide(fourth)[1] != 2  # the own rank loses, and there are two ways out
    assert slide(fourth, loss="both")[1] == slide(fourth, texts=fan)[1] == 2


# --- words ----------------------------------------------------------------------------------------


WORDS = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
SETS = {each["key"]: each for each in WORDS["sets"]}


def test_the_page_scores_words_as_the_package_does() -> None:
    """From cosines rounded to 1e-6 the scores agree to 1e-4; behind each button is a set."""
    assert {re.search(r"set=([\w-]+)", state)[1] for state in buttons("words")} <= set(SETS)
    call = """({ sets, unit }) => sets.map(({ names, templates }) =>
        templates.map(({ cosines }) => {
            const raw = ordinality.unfold(cosines, names.length, unit);
            const centred = ordinality.centre(raw);
            return { raw: ordinality.scorer(raw)(), centred: ordinality.scorer(centred)() };
        }))"""
    for scores_of_set, stored in zip(js(call, **WORDS), WORDS["sets"], strict=True):
        for scores, template in zip(scores_of_set, stored["templates"], strict=True):
            for kind in ("raw", "centred"):
                assert scores[kind] == pytest.approx(template[kind], abs=1e-4), stored["key"]


@pytest.mark.slow
def test_words_are_what_the_script_makes_and_what_the_page_offers_prints() -> None:
    """One set anew: cosines to 3e-6, since machines differ in float32; words the same."""
    assert list(SETS) == list(playground_data.SETS)
    stored = SETS["severity"]
    facts = playground_data.SETS["severity"]
    made = playground_data.rank_set(load_towers("mini"), "severity", facts)
    for new, old in zip(made["templates"], stored["templates"], strict=True):
        assert new["template"] == old["template"]
        assert np.abs(np.subtract(new["cosines"], old["cosines"])).max() <= 3  # in 1e-6
        assert new["raw"] == pytest.approx(old["raw"], abs=1e-4)
        assert new["centred"] == pytest.approx(old["centred"], abs=1e-4)
    assert made | {"templates": stored["templates"]} == stored


# --- figures that move ----------------------------------------------------------------------------


def test_damage_looks_at_its_own_copies() -> None:
    """What chapter 4 says: more than before, and more than an even share, beside other words."""
    stored = json.loads((chapters.BOOK / "results" / "attention.json").read_text(encoding="utf-8"))
    for rank_set in stored["sets"]:
        for slot in rank_set["slots"]:
            if len(slot["words"]) == 1 or stored["word"] not in slot["words"]:
                continue
            word = slot["words"].index(stored["word"])
            n_words = sum(place is not None for place in slot["of"])
            even = 1 / n_words / stored["unit"]
            assert slot["after"][word][word] > max(slot["before"][word][word], even)


def test_the_page_reads_a_cell() -> None:
    """Two of three words are "damage"; they give each other 0.45, and 0.1 to "low"."""
    stored = {"words": ["damage", "low"], "of": [0, 1, 0, None]}
    stored |= {"before": [[3, 4], [3, 4]], "after": [[4.5, 1], [2, 6]]}
    module = (chapters.BOOK / "_static" / "moving" / "attention.mjs").as_uri()
    script = f"""
        import {{ reading, slotOf }} from {json.dumps(module)};
        const slot = slotOf(JSON.parse(await new Response(process.stdin).text()), 0.1);
        console.log(JSON.stringify([[0, 2], [2, 1]].map(cell => reading(slot, cell))));
    """
    own, other = run_node(["--input-type=module", "--eval", script], json.dumps(stored))
    assert own.startswith("“damage” gives its own 2 copies 60 % of its attention before and 90 %")
    assert other.endswith("40 % of its attention before and 10 % after; an even share is 33 %.")
