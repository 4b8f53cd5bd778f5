"""The losses of the playground against the package, and its files: one plain script, library.

Node runs the modules of `book/_static/playground`; `tools/check_playground.mjs` opens the built page in a browser.
"""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import chapters
import numpy as np
import playground
import pytest
import torch
import torch.nn.functional as F
from in_node import FOLDER, buttons, js, node, printed

from l2rclip_lite.losses import ordinal_pairwise_loss, rank_weights
from l2rclip_lite.ranks import cyclic_permutation

BOOK = chapters.ROOT / "book"


def test_losses_and_gradients_are_the_packages_on_random_fixtures() -> None:
    """Forty batches of 1 to 6 images, 3 to 7 ranks, 2 to 8 dimensions, uneven values: weights, losses, gradients."""
    draw = np.random.default_rng(1)
    cases, expected = [], []
    for case in range(40):
        ranks, batch, dim = draw.integers((3, 1, 2), (8, 7, 9)).tolist()
        text, image = (
            F.normalize(torch.tensor(draw.standard_normal((n, dim)))) for n in (ranks, batch)
        )
        values, image = torch.tensor(draw.uniform(0.1, 1, ranks)).cumsum(0), image.requires_grad_()
        target = torch.tensor(draw.integers(ranks, size=batch))
        power, scale, normalise = (
            1 + case // 2 % 2,
            float(1 + 19 * case / 39),
            ("batch", "global")[case % 2],
        )
        options: dict[str, Any] = {
            "normalise": normalise,
            "order": ("true", "blind", "shuffled")[case % 3],
        }
        loss = ordinal_pairwise_loss(image, text, target, values, push_power=power, **options)
        entropy = F.cross_entropy(scale * image @ text.T, target)
        forces = [(-torch.autograd.grad(each, image)[0]).tolist() for each in (loss, entropy)]
        weights = rank_weights(target, values, **options)
        expected.append((weights.tolist(), [loss.item(), entropy.item()], forces))
        tensors = {"image": image, "text": text, "target": target, "values": values}
        data = {name: tensor.tolist() for name, tensor in tensors.items()}
        cases.append(data | options | {"power": power, "scale": scale})
    found = js(
        """({ cases }) => cases.map(({ image, text, target, values, scale, ...options }) => {
            const total = forces => forces.map(({ pull, push }) =>
                pull.map((x, d) => x + push.reduce((sum, f) => sum + f[d], 0)));
            return [losses.rankWeights(target, values, options), [
                losses.ordinalPairwise(image, text, target, values, options).loss,
                losses.crossEntropy(image, text, target, scale).loss,
            ], [
                total(losses.ordinalPairwiseForces(image, text, target, values, options)),
                total(losses.crossEntropyForces(image, text, target, scale)),
            ]];
        })""",
        cases=cases,
    )
    for ours, theirs in zip(found, expected, strict=True):
        for mine, other, tolerance in zip(ours, theirs, (1e-12, 1e-10, 1e-9), strict=True):
            np.testing.assert_allclose(mine, other, atol=tolerance)
    # a browser cannot draw the shuffled order, so it is written down for every K of the page
    written = js("() => losses.ONE_CYCLE")
    assert written == {str(count): cyclic_permutation(count).tolist() for count in range(2, 8)}


def test_net_force_is_minus_the_slope_and_sliding_ends_where_nothing_pushes() -> None:
    """Slope of the loss by a difference of 1e-4°; what is left of the force at the end of the slide."""
    call = """({ texts }) => texts.map(text => {
        const here = { ...state.parse(text), image: 33.3 }, at = angle => losses.measure(here, angle).sum.loss;
        const rest = { ...here, image: losses.slide(here).at(-1) };
        const slope = (at(33.3 + 1e-4) - at(33.3 - 1e-4)) / losses.radians(2e-4);
        return [losses.forces(here).net + slope, losses.forces(rest).net];
    })"""
    texts = ["loss=ce", "loss=both&lambda=2.5&scale=9", "order=blind&power=2&ranks=7&own=6"]
    np.testing.assert_allclose(js(call, texts=texts), 0, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "loss=ce&scale=7.5&ranks=3&own=2&image=-12.3",
        "loss=both&lambda=0.7&order=shuffled&normalise=global&power=2&ranks=6&own=0&texts=-100,-20.5,3,40,90,120&image=180",
        "order=blind&own=4&image=-179.9&arrangement=ring",
    ],
)
def test_a_link_holds_the_state_and_its_python_prints_the_loss_of_the_page(text: str) -> None:
    """parse(format(s)) = s; the script of a state, executed with the package, gives the number that the page shows."""
    before, after, script, shown = js(
        """({ text }) => {
            const s = state.parse(text);
            return [s, state.parse(state.format(s)), state.lossScript(s), losses.measure(s).sum.loss];
        }""",
        text=text,
    )
    assert after == before
    assert float(printed(script)) == pytest.approx(shown, abs=1.1e-6)
    nonsense = "loss=mse&own=x&image=900&scale=1e9&texts=1,2&highlight=a"
    start, odd = js("({ text }) => [state.initial(), state.parse(text)]", text=nonsense)
    # what is unknown or out of range keeps or limits its value
    assert odd == start | {"image": 0, "scale": 100}


def test_what_the_page_says_about_the_losses_is_so() -> None:
    """The four things to try, from the states behind their buttons."""
    first, second, third, fourth = buttons("loss")
    changes: list[tuple[str, dict[str, Any]]] = [
        (first, {}),
        (second, {}),
        (second, {"order": "true"}),
    ]
    changes += [
        (second, {"order": "shuffled"}),
        (third, {}),
        (third, {"loss": "ordinal"}),
        (fourth, {}),
    ]
    changes += [
        (fourth, {"loss": "both"}),
        (fourth, {"texts": js("() => state.ARRANGEMENTS.fan.angles(5)")}),
    ]
    call = """({ starts }) => starts.map(([text, change]) => {
        const slid = from => ({ ...from, image: losses.slide(from).at(-1) });
        const end = slid({ ...slid(state.parse(text)), ...change });
        return [end.image - end.texts[end.own], losses.answer(end).rank, losses.measure(end).sum.loss];
    })"""
    off, rank, loss = zip(*js(call, starts=changes), strict=True)
    assert -10 < off[0] < -3, "it rests a little beyond its own text"
    assert 3 < abs(off[1]) < 10, "blind: beside its text"
    assert off[2] == pytest.approx(0, abs=0.01), "true: on its text"
    assert abs(off[3]) > 5, "shuffled: astray"
    assert loss[3] > loss[2]
    assert off[4] < -45, "cross-entropy goes on and on"
    assert abs(off[5]) < 10
    assert rank[6] != 2, "the own rank loses"
    assert rank[7:] == (2, 2), "two ways out"


def test_the_modules_make_one_plain_script(tmp_path: Path) -> None:
    """No import or export is left, no name is declared twice, and node reads it."""
    text = playground.bundle(FOLDER)
    assert {f"{name}.mjs" for name in playground.MODULES} == {
        path.name for path in FOLDER.glob("*.mjs")
    }
    names = re.findall(r"^(?:(?:async )?function|const|let) (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    (tmp_path / "playground.js").write_text(text, encoding="utf-8")
    subprocess.run([node(), "--check", str(tmp_path / "playground.js")], check=True)


def test_the_library_is_the_one_that_its_note_names() -> None:
    """SHA-256 of D3."""
    library = BOOK / "_extra" / "d3" / "d3.min.js"
    assert hashlib.sha256(library.read_bytes()).hexdigest() in library.with_name(
        "README.md"
    ).read_text("utf-8")
