"""Figures of the chapter on rank templates: tokens, similarities, paths, scores beside their controls.

What the trained text tower says is drawn in the colour of the arm *template only* (the sentences before any training),
shuffled names and random vectors in those of their arms, the network with random weights as a ring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.patheffects import withStroke
from torch import Tensor

from l2rclip_lite.method_style import PAPER, grid, look, name_rows
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.ranks import Ranks

INK, GREY, RED = COLOURS["ink"], COLOURS["reference"], COLOURS["stage 2"]
TRAINED, SHUFFLED, VECTORS = (
    look(arm)[0] for arm in ("template only", "shuffled template", "random prototypes")
)
Scores = Mapping[str, float]


def _some(ranks: Ranks, most: int) -> tuple[list[int], list[str]]:
    """Some ranks to name along an axis, and their names: round numbers where the ranks are many and whole."""
    number = min(len(ranks), most)
    tens = [k for k, value in enumerate(ranks.values) if value % 10 == 0]
    if len(ranks) > 20 and 2 <= len(tens) <= number:
        return tens, [ranks.names[k] for k in tens]
    at = np.unique(np.linspace(0, len(ranks) - 1, number).round().astype(int)).tolist()
    return at, [ranks.names[k] for k in at]


def similarity(
    panels: Mapping[str, tuple[Float[Tensor, "rank dim"], Ranks]], *, columns: int = 3, most: int = 8
) -> Figure:
    """Cosine between the sentences of every two ranks, a panel a label space; both axes run from low to high.

    Args:
        panels: Unit features and their label space, by panel title.
        columns: Panels beside each other.
        most: Rank names beside a panel, at most.

    Example:
        >>> import torch
        >>> ranks = Ranks(("low", "mid", "high"), (0, 1, 2), template="{rank} damage")
        >>> similarity({"mine": (torch.eye(3), ranks)}).axes[0].get_title("left")
        'mine'
    """
    rows = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(7.6, 2.35 * rows + 0.1), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (title, (features, ranks)) in zip(axes, panels.items(), strict=False):
            picture = axis.imshow((features @ features.T).numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_title(title)
            axis.set_yticks(*_some(ranks, most))
            axis.set_xticks([])
            axis.spines[:].set_visible(False)
        for axis in axes[len(panels) :]:
            axis.axis("off")
        figure.colorbar(picture, ax=list(axes), label="cosine", shrink=0.8, pad=0.01)
    return figure


def token_picture(
    sentences: Mapping[str, Sequence[tuple[Sequence[tuple[str, bool]], float]]],
    counts: Mapping[str, Sequence[int]],
    ranks: Ranks,
) -> Figure:
    """Sentences as their tokenizers cut them, and below how many tokens each rank name costs.

    Args:
        sentences: By tokenizer: the tokens of a sentence (text, and whether it spells the rank), and where its rank
            stands between lowest (0) and highest (1), for the colour.
        counts: Tokens of each rank name, by spelling.
        ranks: The ranks of `counts`.
    """
    lines = [len(rows) for rows in sentences.values()]
    with style():
        figure = Figure(figsize=(7.6, 0.36 * sum(lines) + 0.3 * len(counts) + 1.9), layout="constrained")
        *above, below = figure.subplots(len(lines) + 1, 1, height_ratios=[*lines, len(counts)])
        for axis, (title, rows) in zip(above, sentences.items(), strict=True):
            axis.set(xlim=(0, 66), ylim=(len(rows) - 0.4, -0.6))
            axis.set_title(title)
            axis.axis("off")
            for row, (tokens, place) in enumerate(rows):
                _boxes(axis, row, tokens, place)
        table = np.array(list(counts.values()))
        cmap = mpl.colors.ListedColormap(["#dfe7ee", "#7fb0c9", "#22506e"])
        below.imshow(table, cmap=cmap, vmin=0.5, vmax=3.5, aspect="auto", interpolation="none")
        below.set_title("Tokens of each rank name")
        name_rows(below, list(counts), 8.5)
        at, names = _some(ranks, 8)
        below.set_xticks(at, names)
        below.hlines(np.arange(1, len(table)) - 0.5, -0.5, len(ranks) - 0.5, color="white", linewidth=2)
        below.tick_params(length=0)
        below.spines[:].set_visible(False)
        keys = [Patch(color=cmap(k), label=f"{k + 1} token{'s' * (k > 0)}") for k in range(3)]
        figure.legend(handles=keys, loc="outside lower right", ncols=3)
    return figure


def _boxes(axis: Axes, row: int, tokens: Sequence[tuple[str, bool]], place: float) -> None:
    """One sentence, a box a token; rank words in the colour of their rank."""
    at, colour = 0.3, mpl.colormaps["viridis"](0.05 + 0.85 * place)
    for text, of_rank in tokens:
        width = len(text) + 1.1
        face, ink = (colour, "white" if place < 0.75 else INK) if of_rank else ("#e9edf1", INK)
        box = FancyBboxPatch((at, row - 0.34), width, 0.68, boxstyle="round,pad=0,rounding_size=0.25",
                             facecolor=face, edgecolor="none")  # fmt: skip
        axis.add_patch(box)
        axis.text(at + width / 2, row, text, ha="center", va="center_baseline", fontsize=9, color=ink,
                  family="DejaVu Sans Mono")  # fmt: skip
        at += width + 0.45


def null_histograms(scores: Mapping[str, Float[np.ndarray, " order"]], *, xlabel: str) -> Figure:
    """What a score is when the names are shuffled, a panel a label space; the line is the true order.

    Args:
        scores: By title; the first number is that of the true order.
        xlabel: Under all panels.

    Example:
        >>> figure = null_histograms({"K = 3": np.array([0.9, 0.1, 0.9, -0.3])}, xlabel="gap")
        >>> figure.axes[0].get_title("left")
        'K = 3: 1 of 3 other orders does as well'
    """
    with style():
        figure = Figure(figsize=(7.6, 1.5 * len(scores) + 0.5), layout="constrained")
        axes = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (title, found) in zip(axes, scores.items(), strict=True):
            reached = int((found[1:] >= found[0] - 1e-9).sum())
            bins = np.arange(-1.0125, 1.03, 0.025)
            counts, _ = np.histogram(found, bins)
            axis.bar(bins[:-1] + 0.0125, counts / len(found), width=0.023, color=SHUFFLED)
            axis.axvline(found[0], color=TRAINED, linewidth=2.6)
            does = "does" if reached == 1 else "do"
            axis.set_title(f"{title}: {reached} of {len(found) - 1:,} other orders {does} as well")
            axis.set_yticks([])
            axis.spines["left"].set_visible(False)
        axes[-1].set(xlim=(-1.03, 1.03), xlabel=xlabel)
        handles = [
            Patch(color=SHUFFLED, label="shuffled names"),
            Line2D([], [], color=TRAINED, linewidth=2.6, label="true order"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def score_rows(
    true: Mapping[str, Scores],
    shuffled: Mapping[str, Mapping[str, tuple[float, float]]],
    untrained: Mapping[str, Sequence[Scores]],
    titles: Mapping[str, str],
) -> Figure:
    """Scores of label spaces beside their controls, a row a label space, a panel a score.

    Args:
        true: Scores by label space.
        shuffled: The band of each score under shuffled names, from low to high.
        untrained: Scores in networks with random weights, one a seed.
        titles: Panel titles by score.
    """
    with style():
        figure = Figure(figsize=(7.6, 0.37 * len(true) + 1.2), layout="constrained")
        axes = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
        for axis, score in zip(axes, titles, strict=True):
            for row, name in enumerate(true):
                low, high = shuffled[name][score]
                axis.barh(row, high - low, left=low, height=0.62, color=SHUFFLED, alpha=0.4, zorder=1)
                rings = [one[score] for one in untrained[name]]
                axis.scatter(
                    rings, [row] * len(rings), s=26, facecolor="none", edgecolor=INK, linewidth=1.0, zorder=2
                )
                axis.scatter(
                    true[name][score], row, s=52, color=TRAINED, marker="D", edgecolor="white", zorder=3
                )
            axis.use_sticky_edges = False
            axis.margins(x=0.06)
            axis.autoscale_view()
        grid(axes, list(titles.values()), "x")
        name_rows(axes[0], list(true))
        handles = [
            _mark(TRAINED, "D", "trained network"),
            _ring("random weights, a ring a seed"),
            Patch(color=SHUFFLED, alpha=0.4, label="shuffled names, 90 %"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def _mark(colour: str, marker: str, label: str) -> Line2D:
    """A legend entry of a dot."""
    return Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=7, label=label)


def _ring(label: str) -> Line2D:
    """The legend entry of the network with random weights."""
    return Line2D([], [], color=INK, marker="o", markerfacecolor="none", linestyle="none", label=label)


def paths(
    rows: Mapping[str, Mapping[str, tuple[Float[np.ndarray, "rank 2"], float]]], spaces: Mapping[str, Ranks]
) -> Figure:
    """Ranks on their first two principal components, joined from low to high.

    Args:
        rows: By row title and label space: coordinates and the share of variance, as `template_study.two_axes` gives.
        spaces: The label spaces, one a column.
    """
    halo = withStroke(linewidth=2.5, foreground=PAPER)
    with style():
        figure = Figure(figsize=(7.6, 2.05 * len(rows) + 0.2), layout="constrained")
        axes = figure.subplots(len(rows), len(spaces), squeeze=False)
        for line, (title, found) in zip(axes, rows.items(), strict=True):
            line[0].set_ylabel(title)
            for axis, (name, ranks) in zip(line, spaces.items(), strict=True):
                at, share = found[name]
                axis.plot(*at.T, color=GREY, linewidth=0.9, alpha=0.7, zorder=1)
                axis.scatter(*at.T, c=rank_colours(len(ranks)), s=30 if len(ranks) < 20 else 14, zorder=2)
                for end in (0, -1):
                    axis.annotate(ranks.names[end], at[end], (0, 7), textcoords="offset points", ha="center",
                                  fontsize=8.5, color=INK, path_effects=[halo])  # fmt: skip
                axis.set(xticks=[], yticks=[])
                axis.margins(0.16)
                axis.set_xlabel(f"{share:.0%} of the variance".replace("%", " %"), fontsize=8.5)
                if axis in axes[0]:
                    axis.set_title(name)
    return figure


def neighbours(panels: Mapping[str, Float[Tensor, " rank"]], ranks: Ranks, chosen: int) -> Figure:
    """How similar one rank's sentence is to every other, a panel a spelling; bars in rank colours.

    Args:
        panels: Cosines with the chosen rank, by title.
        ranks: The label space; its values are the horizontal axis.
        chosen: Index of the chosen rank.

    Example:
        >>> import torch
        >>> ranks = Ranks(("low", "mid", "high"), (0, 1, 2), template="{rank} damage")
        >>> figure = neighbours({"words": torch.tensor([0.5, 1.0, 0.25])}, ranks, 1)
        >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
        [0.5, 0.0, 0.25]
    """
    with style():
        figure = Figure(figsize=(7.6, 1.75 * len(panels) + 0.4), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axis, cosine in zip(axes, panels.values(), strict=True):
            heights = cosine.clone()
            heights[chosen] = 0
            axis.bar(ranks.values, heights.numpy(), width=0.8, color=rank_colours(len(ranks)), zorder=2)
            axis.axvline(ranks.values[chosen], color=RED, linewidth=1.6, zorder=1)
            axis.axhline(0, color=INK, linewidth=0.8)
            axis.set_ylabel("cosine")
        grid(axes, list(panels), "y")
        axes[-1].set_xlabel(ranks.unit)
        axes[-1].xaxis.set_major_locator(mpl.ticker.MultipleLocator(10))
    return figure


def by_gap(panels: Mapping[str, Mapping[str, Float[Tensor, "rank rank"]]]) -> Figure:
    """Mean cosine of two ranks over the gap between them, a panel a spelling, a line a network.

    Gaps with fewer than a dozen pairs are left out: their means are noise.

    Args:
        panels: Cosine tables of the trained network (`trained`) and of random weights, by panel title.

    Example:
        >>> import torch
        >>> figure = by_gap({"words": {"trained": torch.eye(14)}})
        >>> [float(mean) for mean in figure.axes[0].lines[0].get_ydata()]
        [0.0, 0.0]
    """
    with style():
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, lines in zip(axes, panels.values(), strict=True):
            for name, table in lines.items():
                gaps = range(1, len(table) - 11)
                mean = [float(table.diagonal(gap).mean()) for gap in gaps]
                colour, width = (TRAINED, 2.2) if name == "trained" else (INK, 1.2)
                axis.plot(gaps, mean, color=colour, linewidth=width, label=name)
            axis.axhline(0, color=GREY, linewidth=0.8, linestyle="--")
            axis.set_xlabel("gap between two ranks")
            axis.xaxis.set_major_locator(mpl.ticker.MultipleLocator(10))
        axes[0].set_ylabel("mean cosine")
        axes[0].legend()
        grid(axes, list(panels), "x")
    return figure


def wording_histogram(
    scores: Float[np.ndarray, " wording"], own: float, chance: tuple[float, float], *, xlabel: str
) -> Figure:
    """One score for many wordings of the same grades, with the data set's own words and the band of shuffled names.

    Args:
        scores: A score a wording.
        own: The score of the words in use.
        chance: The band of shuffled names.
        xlabel: What the score is.
    """
    with style():
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        axis = figure.subplots()
        axis.axvspan(*chance, color=SHUFFLED, alpha=0.25, linewidth=0, label="shuffled names, 90 %")
        axis.hist(scores, bins=np.arange(-1, 1.01, 0.05).tolist(), color=TRAINED, edgecolor="white", zorder=2)
        axis.axvline(own, color=INK, linewidth=2, zorder=3, label="the words of the data set")
        axis.set(xlim=(-0.8, 1), xlabel=xlabel, ylabel="wordings")
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def sentence_rows(
    panels: Mapping[str, Mapping[str, tuple[float, Sequence[float]]]], *, xlabel: str
) -> Figure:
    """One score for kinds of sentence, a row a kind, with the same score in networks with random weights.

    Args:
        panels: By panel title and kind: the score, and those of random weights.
        xlabel: What the score is.
    """
    kinds = list(dict.fromkeys(kind for rows in panels.values() for kind in rows))
    with style():
        figure = Figure(figsize=(7.6, 0.4 * len(kinds) + 1.2), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
        for axis, rows in zip(axes, panels.values(), strict=True):
            axis.axvline(0, color=GREY, linewidth=0.8, linestyle="--")
            for kind, (score, untrained) in rows.items():
                row = kinds.index(kind)
                axis.scatter(
                    untrained, [row] * len(untrained), s=26, facecolor="none", edgecolor=INK, zorder=2
                )
                axis.scatter(score, row, s=52, color=TRAINED, marker="D", edgecolor="white", zorder=3)
            axis.set_xlabel(xlabel)
        grid(axes, list(panels), "x")
        name_rows(axes[0], kinds)
        figure.legend(
            handles=[_mark(TRAINED, "D", "trained network"), _ring("random weights")],
            loc="outside upper left",
            ncols=2,
        )
    return figure
