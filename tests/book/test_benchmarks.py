"""The benchmark notices a slow package, compares fairly, and its results stand in the chapter."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench
import chapters
import nbformat
import page_rules
import parts
import pytest
import rows_gpu
import rows_stage1
import rows_training
import targets
import timing
import torch
import workload
from targets import TARGETS, Target

from l2rclip_lite import L2RCLIP

RESULTS = chapters.ROOT / "benchmarks" / "results" / "cpu.json"
CHAPTER = chapters.BOOK / "12_speed_and_scale.ipynb"
QUICK = workload.Setting(repeats=7, quick=True)
Encode = Callable[[L2RCLIP, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """The committed results."""
    stored: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return stored


@pytest.mark.untyped  # shape checks would cost more than what is timed
def test_a_planted_slowdown_turns_a_row_from_met_to_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven forward passes in the place of one, on tiny towers; the target is half as much again as the honest figure."""
    honest = rows_training.stage2_mini(QUICK)
    target = Target("planted", "a step ÷ the bare tower", 1.5 * honest.value)
    assert bench.measure(target, rows_training.stage2_mini, QUICK)["met"] is True
    encode: Encode = L2RCLIP.encode_bytes

    def slow(model: L2RCLIP, pixels: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            encode(model, pixels)
        return encode(model, pixels)

    monkeypatch.setattr(L2RCLIP, "encode_bytes", slow)
    found = bench.measure(target, rows_training.stage2_mini, QUICK)
    assert found["met"] is False, found
    assert found["low"] > honest.high


def test_things_are_timed_in_turns() -> None:
    """Each round times both, every second one backwards, and the warm-up does not count."""
    called: list[str] = []
    pair = timing.paired(lambda: called.append("a"), lambda: called.append("b"), repeats=3, warmup=1)
    assert "".join(called) == "baabbaab"
    assert len(pair.ours) == len(pair.other) == 3


def test_ratio_of_medians_and_quartiles_of_pairs() -> None:
    """One busy moment, which hit both sides of the third pair, moves neither."""
    pair = timing.Paired([2.0, 2.2, 20.0, 2.0, 2.1], [1.0, 1.0, 10.0, 1.0, 1.0])
    assert pair.ratio == pytest.approx(2.1)
    assert pair.spread == pytest.approx((2.0, 2.1))
    assert pair.swapped().ratio == pytest.approx(1 / 2.1)


def test_the_bare_tower_does_the_same_work() -> None:
    """Same features from the same bytes, same mode, gradients for the whole image tower and nothing else."""
    config = workload.settings(QUICK, "mini", 4)
    model, towers = workload.build(config, workload.GRADES), workload.bare_towers(config)
    workload.bare_step(config, towers)()
    for name, parameter in towers.named_parameters():
        assert (parameter.grad is not None) == name.startswith("image."), name
    pixels = workload.drawn(4, towers.image_size)
    assert torch.equal(
        towers.encode_image(towers.normalize(pixels.float() / 255)), model.encode_bytes(pixels)
    )
    assert model.towers.training is towers.training is False


def test_a_step_is_the_whole_step_of_the_real_loop() -> None:
    """What the other side does in between is taken out; what the loop does is not."""
    config = workload.settings(QUICK, "mini", 4)
    stage = workload.stage2_of(workload.build(config, workload.GRADES), 20)
    before = {name: parameter.detach().clone() for name, parameter in stage.parameters.items()}
    wait = torch.cuda._sleep if torch.cuda.is_available() else __import__("time").sleep
    pair = timing.paired_steps(stage, workload.GRADES, config, 20, lambda: wait(0.2), repeats=3, warmup=1)
    assert len(pair.ours) == 3
    assert min(pair.other) >= 0.2 > max(pair.ours)
    assert any((stage.parameters[name] != value).any() for name, value in before.items())  # it did train


def allocate(mebibytes: int) -> None:
    """In a child: hold memory for a moment."""
    bytes_ = bytearray(mebibytes * 2**20)
    bytes_[:: 2**12] = b"x" * len(bytes_[:: 2**12])


@pytest.mark.slow
def test_peak_memory_is_that_of_the_work() -> None:
    """200 MiB are seen as such, although this process is larger than that."""
    assert 195 < timing.peak_of(allocate, 200) < 230


def test_growth_operators_and_examples() -> None:
    """A loop over the ranks would show; the examples in the docstrings hold."""
    assert rows_stage1.operators_by_ranks(QUICK).value < TARGETS["stage1-loop"].target
    for module in (bench, parts, rows_gpu, rows_stage1, targets, timing, workload):
        assert doctest.testmod(module).failed == 0, module.__name__


def test_flops_of_a_tower_by_hand() -> None:
    """A ViT of two layers, width 64: 16 patches of 16 by 16 by 3, 17 tokens, 12 w² products for each in a layer."""
    tokens, width, layers = 17, 64, 2
    patches, block = 16 * 768 * width, tokens * 12 * width**2 + 2 * tokens**2 * width
    learned = layers * block + width * 64
    # a product and its sum are two; backward costs two forwards, but nobody asks for the gradient of the pixels
    expected = 2 * (2 * patches + 3 * learned)
    assert rows_gpu.flops_of_image(workload.settings(QUICK, "mini", 2)) == expected


def test_parts_of_a_step_add_up() -> None:
    """Towers, losses and optimiser are all found, and the parts sum to the step."""
    for found, tower in (
        (parts.stage1_parts(QUICK), "text tower"),
        (parts.stage2_parts(QUICK), "image tower"),
    ):
        spent = dict(found["milliseconds"])
        step = spent.pop("step")
        assert sum(spent.values()) == pytest.approx(step, rel=1e-3)
        for part in (f"{tower}, forward", f"{tower}, backward", "losses", "optimiser"):
            assert 0 < spent[part] < step, (part, spent)


def test_one_row_again_leaves_the_others(tmp_path: Path) -> None:
    """Rows merge into the file; one that cannot be measured says why."""
    file = tmp_path / "cpu.json"
    bench.run(["stage1-loop"], QUICK, file)
    bench.run(["gpu-images", "stage1-cache"], QUICK, file)
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["stage1-cache", "stage1-loop", "gpu-images"]  # in the order of the table
    assert rows["stage1-loop"]["met"] is True
    assert rows["gpu-images"] | {"value": None, "met": None} == rows["gpu-images"]
    assert "--device cuda" in rows["gpu-images"]["reason"]
    assert "--data" in rows["stage1-cache"]["reason"]


def test_every_row_has_a_function_and_every_function_a_row() -> None:
    """The table of targets and the runner speak of the same."""
    assert set(bench.ROWS) == set(TARGETS)


def test_committed_results_are_complete(results: dict[str, Any]) -> None:
    """Every target has its line: figure, spread, repeats, threads, machine, and the verdict that follows from them."""
    rows = results["rows"]
    assert list(rows) == list(TARGETS)
    for name, row in rows.items():
        target = TARGETS[name]
        assert (row["what"], row["target"], row["direction"], row["unit"]) == (
            *(target.what, target.target, target.direction),
            target.unit,
        )
        assert row["threads"] >= 1
        assert f"threads: {row['threads']}" in row["machine"]
        if row["value"] is None:
            assert row["reason"], name
            continue
        assert row["repeats"] >= 5, name
        assert row["met"] == target.met(row["value"]), name
        assert row["low"] <= row["high"], name
    for profile in bench.PROFILES:
        assert results["profiles"][profile]["steps"] >= 5


def test_the_chapter_shows_every_row(results: dict[str, Any]) -> None:
    """With its figure, or the reason why there is none."""
    page = nbformat.read(CHAPTER, as_version=4)
    shown = "\n".join(
        text for cell in page.cells if cell.cell_type == "code" for text in page_rules.texts(cell)
    )
    for row in results["rows"].values():
        line = next(line for line in shown.splitlines() if line.startswith(f"| {row['what']} |"))
        wanted = row["reason"] if row["value"] is None else f"{row['low']:.3g} to {row['high']:.3g}"
        assert wanted in line
        assert ("**missed**" in line) == (row["met"] is False)


def test_the_package_takes_as_many_ranks_as_the_rows_ask_for() -> None:
    """A quick run has few; the limits of the package must leave room for the real one."""
    assert [len(workload.ages(number)) for number in (rows_stage1.MANY, rows_stage1.FEW)] == [6200, 1550]
