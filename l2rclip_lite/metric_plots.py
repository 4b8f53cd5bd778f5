"""Figures of the chapter on metrics: what a rank is, what an error costs, what a metric notices.

Ranks keep the colours of `plots.rank_colours`. Right answers are grey; errors and what is charged for them are red.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from PIL import Image

from l2rclip_lite import metrics
from l2rclip_lite.errors import InputError
from l2rclip_lite.method_style import PAPER, WIDTH, grid, look, name_rows, title_of
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.ranks import Ranks

INK, RIGHT, WRONG, BLUE = COLOURS["ink"], COLOURS["reference"], COLOURS["stage 2"], COLOURS["stage 1"]
SHOWN = {"accuracy": "accuracy", "one_off": "one-off accuracy", "mae_rank": "MAE, ranks", "qwk": "QWK"}
# what an answer of a row of probabilities is best for: title, power of the distance (0: right or wrong), colour, marker
READOUTS: tuple[tuple[str, int, str, str], ...] = (
    ("most probable", 0, RIGHT, "s"),
    ("median", 1, BLUE, "o"),
    ("expectation", 2, WRONG, "D"),
)


def threshold_scale(
    pictures: Sequence[Image.Image], shares: Sequence[float], edges: Sequence[float], ranks: Ranks
) -> Figure:
    """Pictures of growing damage above the quantity itself, which thresholds cut into ranks.

    Args:
        pictures: Least damage first.
        shares: The damaged share of each, in [0, 1].
        edges: The K + 1 thresholds, as shares.
        ranks: The label space.

    Raises:
        InputError: Not one share a picture.
    """
    if len(pictures) != len(shares):
        raise InputError(f"threshold_scale: {len(pictures)} pictures, {len(shares)} shares; give each one.")
    cuts, colours = 100 * np.array(edges), rank_colours(len(ranks))
    with style():
        figure = Figure(figsize=(WIDTH, 2.95))
        ruler = figure.add_axes((0.02, 0.2, 0.96, 0.13))
        for rank, name in enumerate(ranks.names):
            low, high = cuts[rank], cuts[rank + 1]
            ruler.axvspan(low, high, color=colours[rank], linewidth=0)
            if high - low > 0.9 * len(name):  # no room for a name in a narrow rank
                pale = rank >= 0.6 * (len(ranks) - 1)
                ruler.text((low + high) / 2, 0.5, name, ha="center", va="center", fontsize=9.5,
                           color=INK if pale else "white")  # fmt: skip
        ruler.set(xlim=(-1.4, cuts[-1]), ylim=(0, 1), yticks=[], xlabel="damaged share of the leaf, %")
        ruler.set_xticks(cuts[1:], [f"{cut:g}" for cut in cuts[1:]])
        ruler.spines[["left", "bottom"]].set_visible(False)
        for place, (picture, share) in enumerate(zip(pictures, shares, strict=True)):
            step = 0.96 / len(pictures)
            axis = figure.add_axes((0.02 + step * (place + 0.04), 0.5, 0.92 * step, 0.47))
            axis.imshow(np.asarray(picture), aspect="auto")
            axis.set(xticks=[], yticks=[])
            rank = int(np.searchsorted(cuts[1:-1], 100 * share, side="right"))
            for spine in axis.spines.values():
                spine.set(visible=True, color=colours[rank], linewidth=2.4)
            line = ConnectionPatch((0.5, 0), (100 * share, 1), "axes fraction", "data", axesA=axis, axesB=ruler,
                                   color=colours[rank], linewidth=1.3)  # fmt: skip
            figure.add_artist(line)
            ruler.plot(100 * share, 1, marker="v", color=INK, markersize=5, clip_on=False, zorder=4)
    return figure


def confusions(answers: Mapping[str, tuple[Sequence[int], Sequence[int]]], ranks: Ranks) -> Figure:
    """Counts of true rank against answer, one panel a model, and what four metrics say underneath.

    Args:
        answers: (true rank indices, predicted rank indices) by panel title.
        ranks: The label space.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> axis = confusions({"mine": ([0, 1, 2], [0, 1, 1])}, three).axes[0]
        >>> axis.get_xlabel().splitlines()[1:3]
        ['accuracy 0.67', 'one-off accuracy 1.00']
    """
    with style():
        figure = Figure(figsize=(3.3 * len(answers) + 0.5, 4.3), layout="constrained")
        axes = figure.subplots(1, len(answers), squeeze=False)[0]
        for axis, (title, (true, predicted)) in zip(axes, answers.items(), strict=True):
            counts = np.zeros((len(ranks), len(ranks)), dtype=int)
            np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
            share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
            axis.imshow(share, cmap="cividis", vmin=0, vmax=1)
            for (row, column), count in np.ndenumerate(counts):
                axis.text(column, row, f"{count}", ha="center", va="center", fontsize=9,
                          color="white" if share[row, column] < 0.55 else INK)  # fmt: skip
            axis.set_xticks(range(len(ranks)), ranks.names, rotation=40, ha="right", rotation_mode="anchor")
            axis.set_yticks(range(len(ranks)), ranks.names if axis is axes[0] else [])
            axis.set_title(title)
            said = [
                f"{name} {getattr(metrics, key)(true, predicted, ranks):.2f}" for key, name in SHOWN.items()
            ]
            axis.set_xlabel("answer\n" + "\n".join(said), fontsize=9.5, linespacing=1.45)
        axes[0].set_ylabel("true rank")
    return figure


def arrows(panels: Mapping[str, tuple[Sequence[int], Sequence[int], Ranks]]) -> Figure:
    """A row a picture: a dot on its true rank, and an arrow to the answer where that is another.

    Args:
        panels: (true rank indices, predicted rank indices, label space) by panel title.

    Example:
        >>> three = Ranks.integers(0, 2, template="grade {rank}")
        >>> axis = arrows({"mine": ([0, 1, 2], [0, 0, 2], three)}).axes[0]
        >>> [text.get_text() for text in axis.texts if text.get_text()]
        ['−1']
    """
    most = max(len(true) for true, _, _ in panels.values())
    with style():
        width = min(WIDTH, 2.0 + 2.9 * len(panels))
        figure = Figure(figsize=(width, 0.29 * most + 1.1), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (true, answer, ranks) in zip(axes, panels.values(), strict=True):
            colours = rank_colours(len(ranks))
            for row, (rank, said) in enumerate(zip(true, answer, strict=True)):
                axis.scatter(rank, row, s=75, color=[colours[rank]], zorder=3)
                if said != rank:
                    tip = {"arrowstyle": "-|>", "color": WRONG, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 0}
                    axis.annotate("", (said, row), (rank, row), arrowprops=tip, zorder=4)
                    axis.text(len(ranks) - 0.45, row, f"{said - rank:+d}".replace("-", "−"), fontsize=9.5,
                              color=WRONG, va="center", ha="left")  # fmt: skip
            axis.set_xticks(range(len(ranks)), ranks.names)
            axis.set(xlim=(-0.4, len(ranks) - 0.05), ylim=(most - 0.5, -0.5), yticks=[])
            axis.spines["left"].set_visible(False)
        grid(axes, list(panels), "x")
        axes[0].set_ylabel("pictures")
    return figure


def staircases(rows: Mapping[str, Sequence[float]], target: int, ranks: Ranks) -> Figure:
    """Probabilities of one picture above their running sum, and the gap that RPS squares and adds up.

    Args:
        rows: K probabilities by panel title.
        target: The true rank index.
        ranks: The label space.
    """
    truth = (np.arange(len(ranks)) >= target).astype(float)
    at, colours = np.arange(len(ranks)), rank_colours(len(ranks))
    with style():
        figure = Figure(figsize=(3.4 * len(rows), 3.9), layout="constrained")
        axes = figure.subplots(
            2, len(rows), squeeze=False, sharex=True, sharey="row", height_ratios=(1, 1.25)
        )
        for column, (title, row) in enumerate(rows.items()):
            above, below = axes[:, column]
            bars = above.bar(at, row, color=colours, width=0.75)
            bars[target].set(edgecolor=WRONG, linewidth=2.2)
            above.set_title(title)
            total, charge = np.cumsum(row), (np.cumsum(row) - truth) ** 2
            below.bar(
                at, total - truth, bottom=truth, width=1, align="edge", color=WRONG, alpha=0.3, linewidth=0
            )
            below.stairs(truth, np.arange(len(ranks) + 1), color=INK, linewidth=1.6, baseline=None)
            below.stairs(total, np.arange(len(ranks) + 1), color=WRONG, linewidth=2.0, baseline=None)
            for rank in np.flatnonzero(charge > 1e-9):
                below.text(rank + 0.5, (total[rank] + truth[rank]) / 2, f"{charge[rank]:.3g}", fontsize=8.5,
                           ha="center", va="center", color=INK)  # fmt: skip
            below.set_xlabel(f"squares add up to {charge.sum():.3g}")
            below.set_xticks(at, ranks.names, rotation=30, ha="right", rotation_mode="anchor")
        axes[0, 0].set(ylabel="probability", ylim=(0, 1))
        axes[1, 0].set(ylabel="running sum", ylim=(0, 1.06))
    return figure


def charges(by_size: pd.DataFrame, by_rank: Sequence[float], counts: Sequence[int], ranks: Ranks) -> Figure:
    """Left: the price of one error over its size. Right: the price of one step in AMAE, for each true rank.

    Args:
        by_size: A column a metric, a row a size of the error (the index), as a share of the largest price.
        by_rank: What AMAE charges for one step at each rank, as a multiple of what MAE charges.
        counts: How many pictures each rank has.
        ranks: The label space.
    """
    looks = ((RIGHT, "s", (0, (5, 2))), (RIGHT, "^", (0, (1, 1.5))), (BLUE, "o", "-"), (WRONG, "D", "-"))
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        for place, metric in enumerate(by_size):
            colour, marker, dash = looks[place % len(looks)]
            # lines that coincide stay visible beside each other
            left.plot(by_size.index, by_size[metric], color=colour, marker=marker, linestyle=dash, linewidth=1.8,
                      markersize=6, label=metric)  # fmt: skip
        left.set(
            xlabel="the answer is wrong by … ranks", ylabel="share of the highest price", ylim=(-0.04, 1.28)
        )
        left.set_xticks(by_size.index)
        left.legend(loc="upper left", ncols=2, columnspacing=1.2)
        right.bar(range(len(ranks)), by_rank, color=rank_colours(len(ranks)))
        for rank, price in enumerate(by_rank):
            above = max(price, 1) + 0.015 * max(by_rank)  # clear of the line at 1
            right.text(rank, above, f"{price:.2g}×", ha="center", va="bottom", fontsize=9, color=INK)
        right.axhline(1, color=BLUE, linewidth=1.4)
        names = [f"{name}\n{count}" for name, count in zip(ranks.names, counts, strict=True)]
        right.set_xticks(range(len(ranks)), names)
        right.set(xlabel="true rank, and how many pictures it has", ylabel="price in AMAE ÷ price in MAE")
        right.margins(y=0.12)
        grid((left, right), ["An error of each size", "One step, at each rank"], "y")
    return figure


def noticed(values: pd.DataFrame, marked: pd.DataFrame) -> Figure:
    """A row a metric, a column a classifier: the value, on red where the metric raises the alarm.

    Args:
        values: What each metric says of each classifier.
        marked: Of the same shape: where it is an alarm.

    Example:
        >>> table = pd.DataFrame({"healthy": [0.9], "sick": [0.5]}, index=["accuracy"])
        >>> [text.get_text() for text in noticed(table, table < 0.8).axes[0].texts]
        ['0.90', '0.50']
    """
    rows, columns = values.shape
    with style():
        figure = Figure(figsize=(1.5 + 1.02 * columns, 0.36 * rows + 0.9), layout="constrained")
        axis = figure.subplots()
        axis.set(xlim=(0, columns), ylim=(rows, 0))
        for (row, column), value in np.ndenumerate(values.to_numpy(dtype=float)):
            alarm = bool(marked.iat[row, column])
            face = "#f3cfc6" if alarm else "#eef1f4"
            axis.fill_between([column + 0.03, column + 0.97], row + 0.05, row + 0.95, color=face, linewidth=0)
            axis.text(column + 0.5, row + 0.5, f"{value:.2f}".replace("-", "−"), ha="center", va="center", fontsize=9.5,
                      color="#8c2f1c" if alarm else INK, weight="bold" if alarm else "normal")  # fmt: skip
        axis.set_xticks(
            np.arange(columns) + 0.5, [textwrap.fill(str(name), 11) for name in values], fontsize=9.5
        )
        axis.set_yticks(np.arange(rows) + 0.5, list(values.index), fontsize=9.5)
        axis.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        axis.spines[["left", "bottom"]].set_visible(False)
    return figure


def expected_price(
    p: Float[np.ndarray, " rank"], values: Float[np.ndarray, " rank"], power: int
) -> tuple[Float[np.ndarray, " answer"], Float[np.ndarray, " answer"], float]:
    """The price of answering a, Σ_k p_k |a − r_k|^power, or Σ_k p_k 1[a ≠ r_k] for power 0; and the cheapest a.

    Args:
        p: K probabilities.
        values: K rank values, increasing.
        power: 0, 1 or 2.

    Returns:
        Answers, their prices, and the lowest of the cheapest answers. For power 0 only ranks are answers; else all
        ranks and 2,001 points between the first and the last.

    Example:
        >>> row, grades = np.array([0.5, 0.1, 0.4]), np.arange(3.0)
        >>> [round(expected_price(row, grades, power)[2], 2) for power in (0, 1, 2)]
        [0.0, 0.0, 0.9]
    """
    a = np.union1d(np.linspace(values[0], values[-1], 2001), values) if power else values
    distance = np.abs(a[:, None] - values)
    price = ((distance**power if power else distance > 0) * p).sum(1)
    return a, price, float(a[price.round(9).argmin()])  # rounded: float noise must not choose between medians


def readouts(row: Sequence[float], ranks: Ranks) -> Figure:
    """One row of probabilities, the three answers that can be read out of it, and what each answer costs.

    Each curve of `expected_price` is divided by its highest point, and a mark stands at its lowest.

    Args:
        row: K probabilities.
        ranks: The label space.

    Example:
        >>> figure = readouts([0.5, 0.1, 0.4], Ranks.integers(0, 2, template="grade {rank}"))
        >>> [round(float(mark.get_offsets()[0, 0]), 2) for mark in figure.axes[1].collections]
        [0.0, 0.0, 0.9]
    """
    values, p = np.array(ranks.values), np.array(row, dtype=float)
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        left.bar(values, p, color=rank_colours(len(ranks)), width=0.7 * np.diff(values).min())
        left.set(ylabel="probability", ylim=(0, 1.35 * p.max()))
        for name, power, colour, marker in READOUTS:
            a, price, best = expected_price(p, values, power)
            right.plot(a, price / price.max(), color=colour, linewidth=1.8, linestyle="-" if power else ":")
            right.scatter(best, price.min() / price.max(), s=64, color=colour, marker=marker, zorder=3)
            height = (1.29 - 0.09 * power) * p.max()
            left.plot([best, best], [0, height], color=colour, linewidth=1.3, linestyle=(0, (3, 2)))
            left.scatter(best, height, s=52, color=colour, marker=marker, zorder=3, label=name)
        for axis in (left, right):
            axis.set_xticks(values, ranks.names, rotation=30, ha="right", rotation_mode="anchor")
        right.set(xlabel="the answer given", ylabel="expected price ÷ its highest")
        figure.legend(loc="outside upper center", ncols=3, fontsize=9)
        grid((left, right), ["What the model says", "What an answer costs"], "y")
    return figure


def intervals(panels: Mapping[str, pd.DataFrame], *, reference: Mapping[str, str] | None = None) -> Figure:
    """A row a method, a panel a metric: the value and its interval.

    Args:
        panels: A table a panel, by its title: `value`, `low` and `high`, indexed by the arm.
        reference: The arm at whose value a line is drawn, by the title of the panel.

    Example:
        >>> found = pd.DataFrame({"value": [1.0], "low": [0.8], "high": [1.3]}, index=["ridge"])
        >>> axis = intervals({"MAE": found}, reference={"MAE": "ridge"}).axes[0]
        >>> [text.get_text() for text in axis.texts]
        ['1.00']
    """
    arms = list(next(iter(panels.values())).index)
    with style():
        figure = Figure(figsize=(WIDTH, 0.46 * len(arms) + 0.8), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (title, found) in zip(axes, panels.items(), strict=True):
            if reference is not None:
                at = float(found["value"][reference[title]])
                axis.axvline(at, color=RIGHT, linestyle="--", linewidth=1.0)
            for row, arm in enumerate(arms):
                colour, marker = look(arm)
                value, low, high = (float(found[name][arm]) for name in ("value", "low", "high"))
                axis.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
                axis.scatter(value, row, s=58, color=colour, marker=marker, edgecolor="white", zorder=3)
                axis.text(value, row - 0.2, f"{value:.2f}", ha="center", va="bottom", fontsize=8.5, color=INK,
                          bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8})  # fmt: skip
            axis.margins(x=0.1)
            axis.locator_params(axis="x", nbins=4)
        grid(axes, list(panels), "x")
        name_rows(axes[0], [title_of(arm) for arm in arms], 9.5)
    return figure
