"""The figures on faults draw each kill, each round and each mutant once, and in its place."""

from __future__ import annotations

from matplotlib.colors import to_hex

from l2rclip_lite import fault_plots


def test_every_kill_has_its_mark_in_the_row_of_its_phase() -> None:
    """Two in stage 1, none in the checkpoint, one in the results: the numbers at the right say so."""
    axis = fault_plots.kill_moments({"stage 1": [0.25, 0.5], "checkpoint": [], "results": [1.0]}).axes[0]
    marks = [line for line in axis.lines if line.get_marker() == "|"]
    found = [(list(line.get_xdata()), list(line.get_ydata())) for line in marks]
    assert found == [([0.25, 0.5], [0, 0]), ([], []), ([1.0], [2])]
    assert [text.get_text() for text in axis.texts] == ["2", "0", "1"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["stage 1", "checkpoint", "results"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first phase is on top


def test_growth_begins_at_zero_so_that_flat_looks_flat() -> None:
    """A panel a quantity; rounds are counted from 1 and the warm-up is shaded."""
    figure = fault_plots.growth(
        {"memory (MiB)": [800.0, 810.0, 810.0], "open files": [30, 30, 30]}, warm_up=1
    )
    assert [axis.get_title("left") for axis in figure.axes] == ["memory (MiB)", "open files"]
    memory = figure.axes[0]
    assert list(memory.lines[0].get_xdata()) == [1, 2, 3]
    assert list(memory.lines[0].get_ydata()) == [800.0, 810.0, 810.0]
    assert memory.get_ylim() == (0, 1.25 * 810)
    assert memory.patches[0].get_x() + memory.patches[0].get_width() == 1.5
    thinned = fault_plots.growth({"threads": [3, 3, 3]}, warm_up=1, step=10).axes[0]
    assert list(thinned.lines[0].get_xdata()) == [1, 11, 21]
    assert thinned.patches[0].get_x() + thinned.patches[0].get_width() == 10.5


def test_mutants_stand_one_behind_the_other() -> None:
    """Of 4 parsers' mutants 3 were noticed: a bar of 3 and, from there on, one of 1."""
    axis = fault_plots.mutants({"losses": (10, 0), "parsers": (3, 1)}).axes[0]
    bars = [(bar.get_x(), bar.get_width(), to_hex(bar.get_facecolor())) for bar in axis.patches]
    assert bars == [
        (0, 10, fault_plots.NOTICED),
        (0, 3, fault_plots.NOTICED),
        (10, 0, fault_plots.MISSED),
        (3, 1, fault_plots.MISSED),
    ]
    assert [text.get_text() for text in axis.texts] == ["10 of 10, 100 %", "3 of 4, 75 %"]
