"""The benchmark compares fairly, and its rows run."""

import math

import bench
import pytest
import timing
import training_rows
import use_rows

QUICK = timing.Setting(repeats=2, quick=True)


def test_the_bare_tower_trains_the_image_side_alone() -> None:
    """Gradients for the whole image tower and nothing else."""
    config = QUICK.config("mini", 4)
    towers = training_rows.bare_towers(config)
    training_rows.bare_step(config, towers)()
    for name, parameter in towers.named_parameters():
        assert (parameter.grad is not None) == name.startswith("image."), name


@pytest.mark.parametrize("name", ["stage2-mini", "inference", "lists-million", "metrics"])
def test_a_row_has_a_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no minutes; what a new process would do is done in this one."""
    monkeypatch.setattr(use_rows, "in_a_new_process", lambda work, *arguments: work(*arguments))
    assert 0 < bench.measured(bench.ROWS[name], QUICK)["value"] < math.inf
