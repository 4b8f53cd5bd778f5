"""The losses of the playground against the package, and its files: one plain script, colours, library.

Node runs the modules of `book/_static/playground`; `tools/check_playground.mjs` opens the built page in a browser.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import chapters
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from in_node import FOLDER, buttons, js, node, printed
from torch import Tensor

from l2rclip_lite.controls import one_cycle
from l2rclip_lite.losses import ordinal_pairwise_loss, rank_weights
from l2rclip_lite.plots import COLOURS, rank_colours


def unit(rows: int, generator: torch.Generator, dim: int = 8) -> Tensor:
    """Random unit vectors in float64."""
    return F.normalize(torch.randn(rows, dim, generator=generator, dtype=torch.float64), dim=1)


def test_golden_numbers_of_the_seeded_fixture() -> None:
    """Released code on five texts and six images: 1.552406 − 0.526174 = 1.026232, blind 0.233079, cross-entropy 1.537589."""
    generator = torch.Generator().manual_seed(0)
    text, image = unit(5, generator), unit(6, generator)
    found = js(
        """({ image, text, y, ranks }) => [
            losses.ordinalPairwise(image, text, y, ranks),
            losses.ordinalPairwise(image, text, y, ranks, { order: 'blind' }),
            losses.crossEntropy(image, text, y, 1), losses.crossEntropy(image, text, y, Math.E ** 2),
        ]""",
        image=image.tolist(), text=text.tolist(), y=[0, 1, 2, 3, 4, 2], ranks=[0, 1, 2, 3, 4],
    )  # fmt: skip
    assert [each["loss"] for each in found] == pytest.approx(
        [1.026232, 0.233079, 1.537589, 2.510884], abs=1e-6
    )
    assert found[0]["pull"] == pytest.approx(1.552406, abs=1e-6)
    assert found[0]["push"] == pytest.approx(-0.526174, abs=1e-6)


def test_texts_at_0_60_and_120_degrees() -> None:
    """Perfect −(1 + 2√3)/6, squared push −7/6; both at 60° 2/3; rank 1 alone −2/3 in the batch, −1/3 in the label space."""
    found = js("""() => {
        const text = [0, 60, 120].map(losses.onCircle), ranks = [0, 1, 2];
        const loss = (rows, y, options) => losses.ordinalPairwise(rows.map(row => text[row]), text, y, ranks, options).loss;
        return [loss([0, 2], [0, 2]), loss([0, 2], [0, 2], { power: 2 }), loss([1, 1], [0, 2]),
            loss([1], [1]), loss([1], [1], { normalise: 'global' })];
    }""")
    expected = [-(1 + 2 * math.sqrt(3)) / 6, -7 / 6, 2 / 3, -2 / 3, -1 / 3]
    assert found == pytest.approx(expected, abs=1e-6)


def test_losses_and_gradients_are_the_packages_on_random_fixtures() -> None:
    """Forty batches of 1 to 6 images, 3 to 7 ranks, 2 to 8 dimensions, uneven values: weights, losses, gradients."""
    generator = torch.Generator().manual_seed(1)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    cases, expected = [], []
    for case in range(40):
        ranks, batch, dim = pick(3, 7), pick(1, 6), pick(2, 8)
        text, image = unit(ranks, generator, dim), unit(batch, generator, dim).requires_grad_()
        values = torch.rand(ranks, generator=generator, dtype=torch.float64).add(0.1).cumsum(0)
        target = torch.randint(ranks, (batch,), generator=generator)
        normalise, power = ("batch", "global")[case % 2], 1 + case // 2 % 2
        order, scale = ("true", "blind", "shuffled")[case % 3], float(1 + 19 * case / 39)
        options: dict[str, Any] = {"normalise": normalise, "order": order}
        loss = ordinal_pairwise_loss(image, text, target, values, push_power=power, **options)
        entropy = F.cross_entropy(scale * image @ text.T, target)
        expected.append({
            "weights": rank_weights(target, values, **options).tolist(),
            "ordinal": float(loss.detach()),
            "ce": float(entropy.detach()),
            "forces": [(-torch.autograd.grad(each, image)[0]).tolist() for each in (loss, entropy)],
        })  # fmt: skip
        data = {
            "image": image.tolist(),
            "text": text.tolist(),
            "target": target.tolist(),
            "values": values.tolist(),
        }
        cases.append(data | options | {"power": power, "scale": scale})
    found = js(
        """({ cases }) => cases.map(({ image, text, target, values, scale, ...options }) => {
            const total = forces => forces.map(({ pull, push }) =>
                pull.map((x, d) => x + push.reduce((sum, f) => sum + f[d], 0)));
            return {
                weights: losses.rankWeights(target, values, options),
                ordinal: losses.ordinalPairwise(image, text, target, values, options).loss,
                ce: losses.crossEntropy(image, text, target, scale).loss,
                forces: [total(losses.ordinalPairwiseForces(image, text, target, values, options)),
                    total(losses.crossEntropyForces(image, text, target, scale))],
            };
        })""",
        cases=cases,
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours["weights"], theirs["weights"], atol=1e-12)
        assert (ours["ordinal"], ours["ce"]) == pytest.approx((theirs["ordinal"], theirs["ce"]), abs=1e-10)
        for force, gradient in zip(ours["forces"], theirs["forces"], strict=True):
            np.testing.assert_allclose(force, gradient, atol=1e-9)


def test_the_shuffled_order_is_the_packages() -> None:
    """`controls.one_cycle`, which a browser cannot draw, is written down for every K of the page."""
    written = js("() => losses.ONE_CYCLE")
    assert written == {str(count): one_cycle(count).tolist() for count in range(2, 8)}


def test_forces_along_the_circle_are_slopes_and_sliding_only_descends() -> None:
    """Net force = −dL/dφ by differences of 1e-4°, parts sum up, each gradient step lowers the loss until nothing pushes."""
    texts = ["", "loss=ce", "loss=both&lambda=2.5&scale=9", "order=blind&power=2&ranks=7&own=6"]
    found = js(
        """({ texts }) => texts.map(text => {
            const here = { ...state.parse(text), image: 33.3 };
            const at = angle => losses.measure(here, angle).sum;
            const slope = (at(33.3 + 1e-4).loss - at(33.3 - 1e-4).loss) / losses.radians(2e-4);
            const path = losses.slide(here), end = { ...here, image: path.at(-1) };
            const way = path.map(angle => at(angle).loss);
            return { slope, force: losses.forces(here), sum: at(33.3), rest: losses.forces(end).net, way };
        })""",
        texts=[*texts, "order=shuffled&normalise=global&own=0"],
    )
    for each in found:
        assert each["force"]["net"] == pytest.approx(-each["slope"], abs=1e-5)
        assert each["force"]["net"] == pytest.approx(each["force"]["pull"] + sum(each["force"]["push"]))
        assert each["sum"]["loss"] == pytest.approx(each["sum"]["pull"] + each["sum"]["push"])
        assert all(later < earlier for earlier, later in zip(each["way"], each["way"][1:], strict=False))
        assert len(each["way"]) > 5
        assert abs(each["rest"]) < 1e-4


STATES = (
    "",
    "loss=ce&scale=7.5&ranks=3&own=2&image=-12.3",
    "loss=both&lambda=0.7&order=shuffled&normalise=global&power=2&ranks=6&own=0&texts=-100,-20.5,3,40,90,120&image=180",
    "order=blind&own=4&image=-179.9&arrangement=ring",
)


@pytest.mark.parametrize("text", STATES)
def test_copied_python_prints_the_loss_of_the_page(text: str) -> None:
    """The script of a state, executed with the package, gives the number that the page shows."""
    call = "({ text }) => { const s = state.parse(text); return [state.lossScript(s), losses.measure(s).sum.loss]; }"
    script, shown = js(call, text=text)
    assert float(printed(script)) == pytest.approx(shown, abs=1.1e-6)
    assert all(len(line) <= 100 for line in script.splitlines())


def test_links_hold_the_state_and_nonsense_is_ignored() -> None:
    """parse(format(s)) = s; what is missing, unknown or out of range keeps or limits its value."""
    back = "({ texts }) => texts.map(text => { const s = state.parse(text); return [s, state.parse(state.format(s))]; })"
    for before, after in js(back, texts=STATES):
        assert after == before
    nonsense = "loss=mse&own=x&image=900&scale=1e9&texts=1,2&highlight=a"
    start, odd = js("({ text }) => [state.initial(), state.parse(text)]", text=nonsense)
    assert odd == start | {"image": 0, "scale": 100}


def test_what_the_page_says_about_the_losses_is_so() -> None:
    """The four things to try, from the states behind their buttons."""
    first, second, third, fourth = buttons("loss")
    call = """({ starts }) => starts.map(([text, change]) => {
        const slid = from => ({ ...from, image: losses.slide(from).at(-1) });
        const begin = state.parse(text), end = slid({ ...slid(begin), ...change }), ranks = end.texts.map((_, k) => k);
        return { start: begin.image, rest: end.image, own: end.texts[end.own], texts: end.texts,
            rank: losses.answer(end).rank, loss: losses.measure(end).sum.loss,
            weights: losses.rankWeights([end.own], ranks, end)[0] };
    })"""
    fan = js("() => state.ARRANGEMENTS.fan.angles(5)")
    changes = [
        (first, {}),
        (second, {}),
        (second, {"order": "true"}),
        (second, {"order": "shuffled"}),
        (third, {}),
    ]
    changes += [
        (third, {"loss": "ordinal"}),
        (fourth, {}),
        (fourth, {"loss": "both"}),
        (fourth, {"texts": fan}),
    ]
    slid, blind, true, shuffled, past, back, lost, both, spread = js(call, starts=changes)
    assert slid["start"] > slid["texts"][4], "it starts beyond rank 4 …"
    assert -10 < slid["rest"] - slid["own"] < -3, "… and rests a little beyond its own text"
    assert slid["weights"][4] == pytest.approx(3 * slid["weights"][2])
    assert set(blind["weights"]) == {1}
    assert 3 < abs(blind["rest"] - blind["own"]) < 10
    assert true["rest"] == pytest.approx(true["own"], abs=0.01)
    assert abs(shuffled["rest"] - shuffled["own"]) > 5
    assert shuffled["loss"] > true["loss"]
    assert past["rest"] < past["own"] - 45, "cross-entropy goes on and on"
    assert abs(back["rest"] - back["own"]) < 10
    assert lost["rank"] != 2
    assert (both["rank"], spread["rank"]) == (2, 2)


def extension() -> ModuleType:
    """`book/_ext/playground.py`, which Sphinx loads by its path."""
    spec = importlib.util.spec_from_file_location(
        "playground_extension", chapters.ROOT / "book" / "_ext" / "playground.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_modules_make_one_plain_script(tmp_path: Path) -> None:
    """No import or export is left, no name stands twice in their one scope, node reads it; a strange import is refused."""
    made = extension()
    text = made.bundle(FOLDER)
    assert not re.search(r"^(?:import|export)\b", text, re.MULTILINE)
    assert {f"{name}.mjs" for name in made.MODULES} == {path.name for path in FOLDER.glob("*.mjs")}
    names = re.findall(r"^(?:(?:async )?function|const|let) (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    shutil.copytree(FOLDER, tmp_path / "copy")
    with (tmp_path / "copy" / "state.mjs").open("a", encoding="utf-8") as stream:
        stream.write("import d3 from 'd3';\n")
    with pytest.raises(ValueError, match=r"state\.mjs: write \"import d3"):
        made.bundle(tmp_path / "copy")
    (tmp_path / "playground.js").write_text(text, encoding="utf-8")
    subprocess.run([node(), "--check", str(tmp_path / "playground.js")], check=True)


def test_colours_are_those_of_the_book() -> None:
    """Pull and push have the two stages' colours, ranks those of `plots.rank_colours` (D3 rounds its viridis to 8 bits)."""
    style = (FOLDER / "playground.css").read_text(encoding="utf-8")
    assert f"--pg-pull: {COLOURS['stage 1']};" in style
    assert f"--pg-push: {COLOURS['stage 2']};" in style
    library = chapters.ROOT / "book" / "_extra" / "d3" / "d3.min.js"
    script = (
        f"const d3 = require({json.dumps(str(library))}); import({json.dumps((FOLDER / 'dom.mjs').as_uri())})"
    )
    script += ".then(dom => console.log(JSON.stringify([3, 5, 7].map(K => dom.rankColours(d3, K).map(c => d3.rgb(c))))))"
    done = subprocess.run([node(), "--eval", script], capture_output=True, text=True, check=True)
    for count, found in zip((3, 5, 7), json.loads(done.stdout), strict=True):
        shown = [[colour[part] / 255 for part in "rgb"] for colour in found]
        np.testing.assert_allclose(shown, np.array(rank_colours(count))[:, :3], atol=1.5 / 255)


def test_the_library_is_the_one_that_its_note_names() -> None:
    """Version, licence and SHA-256 of the vendored file."""
    folder = chapters.ROOT / "book" / "_extra" / "d3"
    body, note = (folder / "d3.min.js").read_bytes(), (folder / "README.md").read_text(encoding="utf-8")
    version = re.match(r"// https://d3js.org v([\d.]+) ", body.decode("utf-8"))
    assert version
    assert f"`d3` {version[1]}," in note
    assert hashlib.sha256(body).hexdigest() in note
    assert "Permission to use, copy, modify" in (folder / "LICENSE").read_text(encoding="utf-8")
