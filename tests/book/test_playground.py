"""The losses of the playground against the package, and its two files of JavaScript.

Node runs the modules of `book/_static/playground`; `tools/check_playground.mjs` opens the built
page in a browser.
"""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import chapters
import numpy as np
import playground
import pytest
import torch
import torch.nn.functional as F
from in_node import buttons, js, node, printed

from l2rclip_lite.method.losses import ordinal_pairwise_loss, rank_weights
from l2rclip_lite.method.ranks import cyclic_permutation

BOOK = chapters.ROOT / "book"


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


def package_results(case: dict[str, Any]) -> tuple[list[Any], list[float], list[Any]]:
    """Return weights, both losses and their forces on the images, from the package."""
    image = torch.tensor(case["image"], dtype=torch.float64).requires_grad_()
    text = torch.tensor(case["text"], dtype=torch.float64)
    values = torch.tensor(case["values"], dtype=torch.float64)
    target = torch.tensor(case["target"])

    weights = rank_weights(target, values, normalise=case["normalise"], order=case["order"])
    pairwise = ordinal_pairwise_loss(
        image,
        text,
        target,
        values,
        push_power=case["power"],
        normalise=case["normalise"],
        order=case["order"],
    )
    entropy = F.cross_entropy(case["scale"] * image @ text.T, target)
    forces = [(-torch.autograd.grad(loss, image)[0]).tolist() for loss in (pairwise, entropy)]
    return weights.tolist(), [pairwise.item(), entropy.item()], forces


PAGE_RESULTS = """({ cases }) => cases.map(({ image, text, target, values, scale, ...options }) => {
    const total = forces => forces.map(({ pull, push }) =>
        pull.map((x, d) => x + push.reduce((sum, f) => sum + f[d], 0)));
    return [losses.rankWeights(target, values, options), [
        losses.ordinalPairwise(image, text, target, values, options).loss,
        losses.crossEntropy(image, text, target, scale).loss,
    ], [
        total(losses.ordinalPairwiseForces(image, text, target, values, options)),
        total(losses.crossEntropyForces(image, text, target, scale)),
    ]];
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
        page_weights, page_losses, page_forces = page
        weights, losses, forces = package_results(case)
        np.testing.assert_allclose(page_weights, weights, atol=1e-12)
        np.testing.assert_allclose(page_losses, losses, atol=1e-10)
        np.testing.assert_allclose(page_forces, forces, atol=1e-9)


LINKS = ["loss=ce", "loss=both&lambda=2.5&scale=9", "order=blind&power=2&ranks=7&own=6"]


def test_the_net_force_is_minus_the_slope_of_the_loss_and_sliding_ends_where_it_is_0() -> None:
    """By a difference of 1e-4° on either side."""
    call = """({ links }) => links.map(link => {
        const here = { ...state.parse(link), image: 33.3 };
        const at = angle => losses.measure(here, angle).sum.loss;
        const slope = (at(33.3 + 1e-4) - at(33.3 - 1e-4)) / losses.radians(2e-4);
        const end = { ...here, image: losses.slide(here).at(-1) };
        return [losses.forces(here).net + slope, losses.forces(end).net];
    })"""
    np.testing.assert_allclose(js(call, links=LINKS), 0, atol=1e-4)


@pytest.mark.parametrize(
    "link",
    [
        "loss=ce&scale=7.5&ranks=3&own=2&image=-12.3",
        "loss=both&lambda=0.7&order=shuffled&normalise=global&power=2&ranks=6&own=0"
        "&texts=-100,-20.5,3,40,90,120&image=180",
        "order=blind&own=4&image=-179.9&arrangement=ring",
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


def test_a_link_with_nonsense_changes_nothing_else() -> None:
    """What is unknown keeps its value, what is out of range is limited."""
    nonsense = "loss=mse&own=x&image=900&scale=1e9&texts=1,2&highlight=a"
    start, parsed = js("({ link }) => [state.initial(), state.parse(link)]", link=nonsense)
    assert parsed == start | {"image": 0, "scale": 100}


class End(NamedTuple):
    """Where an image comes to rest: degrees beyond its own text, the answer, the loss."""

    beyond: float
    rank: int
    loss: float


def slide(link: str, changes: dict[str, Any] | None = None) -> End:
    """Let the image slide to rest, change the state, and let it slide again."""
    call = """({ link, changes }) => {
        const slid = from => ({ ...from, image: losses.slide(from).at(-1) });
        const end = slid({ ...slid(state.parse(link)), ...changes });
        const beyond = end.image - end.texts[end.own];
        return [beyond, losses.answer(end).rank, losses.measure(end).sum.loss];
    }"""
    return End(*js(call, link=link, changes=changes or {}))


def test_what_the_page_asks_a_reader_to_try_happens() -> None:
    """Behind its four buttons; what is claimed of each stands beside it."""
    first, second, third, fourth = buttons("loss")
    fan = js("() => state.ARRANGEMENTS.fan.angles(5)")
    blind, true, shuffled = (
        slide(second, {"order": kind}) for kind in ("blind", "true", "shuffled")
    )

    assert -10 < slide(first).beyond < -3  # a little beyond its own text
    assert 3 < abs(blind.beyond) < 10  # blind: beside its text; true: on it; shuffled: astray
    assert true.beyond == pytest.approx(0, abs=0.01)
    assert abs(shuffled.beyond) > 5
    assert shuffled.loss > true.loss
    assert slide(third).beyond < -45  # cross-entropy goes on and on, the ordinal loss does not
    assert abs(slide(third, {"loss": "ordinal"}).beyond) < 10
    assert slide(fourth).rank != 2  # the own rank loses, and there are two ways out
    assert slide(fourth, {"loss": "both"}).rank == slide(fourth, {"texts": fan}).rank == 2


@pytest.mark.parametrize("name", playground.SCRIPTS)
def test_the_modules_make_one_plain_script(tmp_path: Path, name: str) -> None:
    """No name is declared twice, and node reads it: no import or export is left."""
    text = playground.bundle(playground.SCRIPTS[name], BOOK)
    names = re.findall(r"^(?:(?:async )?function|const|let) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    (tmp_path / "page.js").write_text(text, encoding="utf-8")
    subprocess.run([node(), "--check", str(tmp_path / "page.js")], check=True)


def test_the_library_is_the_one_that_its_note_names() -> None:
    """SHA-256 of D3."""
    folder = BOOK / "_extra" / "d3"
    digest = hashlib.sha256((folder / "d3.min.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")
