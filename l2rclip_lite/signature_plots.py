"""One figure a failure signature, models side by side: what the number means, to be seen at a glance."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from l2rclip_lite.model import L2RCLIP
from l2rclip_lite.plots import COLOURS, rank_colours, style
from l2rclip_lite.signature_tensors import (
    Image,
    Target,
    context_ways,
    expected_ranks,
    gradient_shares,
    influence,
    margins,
    pair_gradients,
    text_features,
)
from l2rclip_lite.signatures import (
    context_drift,
    context_size,
    mixing,
    order_gained,
    own_text_margin,
    pushed_pairs,
    wasted_push,
)

Models = Mapping[str, L2RCLIP]
GOOD, BAD, GREY, INK = (COLOURS[name] for name in ("stage 1", "stage 2", "reference", "ink"))


def order_figure(models: Models, features: Image, target: Target) -> Figure:
    """Above, who moves whom when words are disturbed; below, mean answer by true rank, with and without RankFormer.

    Args:
        models: Models by panel title, the healthy one first.
        features: Image features, the same for all.
        target: Rank index of each image.
    """
    with style():
        figure = Figure(figsize=(3.8 * len(models), 6.4), layout="constrained")
        axes = figure.subplots(2, len(models), squeeze=False)
        shares = {title: influence(model).numpy() for title, model in models.items()}
        number = len(next(iter(shares.values())))
        off = ~np.eye(number, dtype=bool)
        top = max(max(float(share[off].max()) for share in shares.values()), 0.01)
        colours = mpl.colormaps["YlGnBu"].with_extremes(bad="#d9dde2")
        for column, (title, model) in enumerate(models.items()):
            above, below = axes[:, column]
            shown = np.ma.masked_array(shares[title], mask=~off)
            picture = above.imshow(shown, cmap=colours, vmin=0, vmax=top)
            above.set_title(f"{title}\nmixing {mixing(model).value:.1%}")
            above.set(xlabel="text that moves (rank)", xticks=_some(number), yticks=_some(number))
            if number <= 10:
                for row, k in zip(*np.nonzero(off), strict=True):
                    colour = "white" if shares[title][row, k] > 0.6 * top else INK
                    above.text(k, row, f"{shares[title][row, k]:.1%}", ha="center", va="center", fontsize=8,
                               color=colour)  # fmt: skip
            _answers(below, model, features, target)
        axes[0, 0].set_ylabel("rank whose words are disturbed")
        axes[1, 0].set_ylabel("mean expected rank")
        figure.colorbar(picture, ax=list(axes[0]), label="movement, its own = 100%", shrink=0.85,
                        format=mpl.ticker.PercentFormatter(1))  # fmt: skip
    return figure


def alignment_figure(models: Models, features: Image, target: Target) -> Figure:
    """How clearly each image prefers its own text, and which loss pulls at the texts.

    Args:
        models: Models by panel title, the healthy one first.
        features: Image features, the same for all.
        target: Rank index of each image.
    """
    with style():
        figure = Figure(figsize=(3.9 * len(models), 3.9), layout="constrained")
        axes = figure.subplots(
            2, len(models), squeeze=False, height_ratios=(5, 1), sharex="row", sharey="row"
        )
        found = {
            title: margins(features.cpu(), text_features(model), target.cpu(), float(model.scale.detach()))
            for title, model in models.items()
        }
        everything = torch.cat(list(found.values())).numpy()
        edges = _edges(float(everything.min()), float(everything.max()))
        for column, (title, model) in enumerate(models.items()):
            above, below = axes[:, column]
            values, mean = found[title].numpy(), own_text_margin(model, features, target).value
            counts, _ = np.histogram(values, edges)
            colours = [GOOD if left >= 0 else BAD for left in edges[:-1]]
            above.bar(
                edges[:-1], counts, width=np.diff(edges), align="edge", color=colours, edgecolor="white"
            )
            above.axvline(mean, ymax=0.82, color=INK, linewidth=1.6)
            above.axvline(-1, ymax=0.9, color=GREY, linewidth=1.2, linestyle="--")
            above.set_title(
                f"{title}: mean margin {mean:.2f}\n{(values > 0).mean():.0%} nearest to their own text"
            )
            above.set_xlabel("lead of the own text (log K)")
            _shares(below, gradient_shares(model, features, target)["texts"])
        axes[0, 0].set_ylabel("images")
        high = 1.3 * axes[0, 0].get_ylim()[1]
        axes[0, 0].set_ylim(0, high)
        for axis, title in zip(axes[0], models, strict=True):
            axis.text(float(found[title].mean()), 0.83 * high, "mean", ha="center", fontsize=8.5, color=INK)
            axis.text(-1, 0.92 * high, "← worse than a uniform answer", ha="right", fontsize=8.5, color=GREY)
    return figure


def drift_figure(models: Models) -> Figure:
    """Each context vector's way from its start, seen so that distances from the origin are lengths.

    The plane is spanned by the vector's start (upwards) and by what it gained beside it (to the right).

    Args:
        models: Models by panel title, the healthy one first.
    """
    ways = {title: context_ways(model) for title, model in models.items()}
    points = torch.cat([torch.cat(way) for way in ways.values()]).numpy()
    right, top = max(2.5, points[:, 0].max() * 1.06), max(1.5, points[:, 1].max() * 1.1)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 200)
    height = min(max(7.0 * (top + 1.1) / right, 0.9), 4.5) + 0.65
    with style():
        figure = Figure(figsize=(7.6, height * len(models) + 0.3), layout="constrained")
        axes = figure.subplots(len(models), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for axis, (title, model) in zip(axes, models.items(), strict=True):
            start, end = (points.numpy() for points in ways[title])
            axis.fill(np.cos(angle), np.sin(angle), color="#dfe4ea", zorder=0)
            axis.text(0.07, 0, "as long\nas a word", va="center", fontsize=8, color=GREY)
            axis.plot(*np.stack([start, end]).transpose(2, 0, 1), color=BAD, linewidth=1.6)
            axis.scatter(
                *end.T,
                color=BAD,
                s=34,
                zorder=3,
                edgecolor="white",
                clip_on=False,
                label="context after training",
            )
            axis.scatter(
                *start.T, color=GOOD, s=20, zorder=4, edgecolor="white", clip_on=False, label="as drawn"
            )
            drift, size = context_drift(model).value, context_size(model).value
            axis.set_title(f"{title}: drift {drift:.2f}, {size:.2f} times as long as a word")
            axis.set(aspect="equal", xlim=(0, right), ylim=(-1.1, top), ylabel="along its start")
        axes[0].legend(loc="lower right", handletextpad=0.2)
        axes[-1].set_xlabel("beside its start (lengths of a word)")
    return figure


def pairs_figure(models: Models, features: Image, target: Target, *, each: int = 4) -> Figure:
    """Which pairs of one batch the contrastive loss pulls and pushes; pairs of one rank stand in the frames.

    Args:
        models: Models by panel title, the healthy one first.
        features: Image features, the same for all.
        target: Rank index of each image.
        each: Images of each rank in the batch, the first ones.
    """
    target = target.cpu()
    chosen = torch.cat([torch.nonzero(target == rank)[:each, 0] for rank in sorted(set(target.tolist()))])
    batch, y = features.cpu()[chosen], target[chosen]
    with style():
        figure = Figure(figsize=(4.0 * len(models) + 0.6, 4.5), layout="constrained")
        axes = figure.subplots(1, len(models), squeeze=False)[0]
        tables = {title: _pairs(model, batch, y) for title, model in models.items()}
        most = max(
            float(table.max()) for table in tables.values()
        )  # pulls may be far stronger: they saturate
        for axis, (title, model) in zip(axes, models.items(), strict=True):
            picture = axis.imshow(tables[title], cmap="RdBu_r", vmin=-most, vmax=most)
            for rank, colour in enumerate(rank_colours(len(model.ranks))):
                at = np.flatnonzero(y.numpy() == rank)
                if len(at):
                    axis.add_patch(mpl.patches.Rectangle((at[0] - 0.5, at[0] - 0.5), len(at), len(at), fill=False,
                                                         edgecolor=colour, linewidth=2.4))  # fmt: skip
            pushed, wasted = (sign(model, features, target).value for sign in (pushed_pairs, wasted_push))
            axis.set_title(
                f"{title}: {pushed:.0%} of same-rank\npairs pushed, {wasted:.0%} of the pull wasted"
            )
            axis.set(xticks=[], yticks=[], xlabel="texts of the batch, by rank")
        axes[0].set_ylabel("images of the batch, by rank")
        bar = figure.colorbar(picture, ax=list(axes), shrink=0.85, ticks=[-most, 0, most], extend="min")
        bar.ax.set_yticklabels(["pulled\ntogether", "0", "pushed\napart"])
    return figure


def _answers(axis: Axes, model: L2RCLIP, features: Tensor, target: Tensor) -> None:
    """Mean expected rank of the images of each rank, over the true one."""
    values, true = model.ranks.values_tensor(), target.cpu()
    present = sorted(set(true.tolist()))
    axis.plot(values[present], values[present], color=GREY, linewidth=1, linestyle=":")
    ends = []
    for refine, colour, marker in ((False, GREY, "s"), (True, GOOD, "o")):
        answer = expected_ranks(model, features, refine=refine)
        mean = [float(answer[true == rank].mean()) for rank in present]
        axis.plot(values[present], mean, color=colour, marker=marker, linewidth=2, markersize=5)
        ends.append(mean[-1])
    gained = order_gained(model, features, target).value
    axis.set_title(f"order gained {gained:+.2f}")
    axis.set_xlabel("true rank")
    last = float(values[present[-1]])
    if abs(ends[1] - ends[0]) < 0.05 * (last - float(values[present[0]])):
        axis.annotate("with RankFormer\n= without", (last, ends[1]), (-4, -9), textcoords="offset points", ha="right",
                      va="top", color=INK, fontsize=8.5)  # fmt: skip
        return
    for end, words, colour in zip(ends, ("without", "with RankFormer"), (GREY, GOOD), strict=True):
        higher = end == max(ends)
        axis.annotate(words, (last, end), (2, 8 if higher else -9), textcoords="offset points", ha="right",
                      bbox={"facecolor": "#fdfdfb", "edgecolor": "none", "pad": 0.5},
                      va="bottom" if higher else "top", color=colour, fontsize=8.5)  # fmt: skip


def _shares(axis: Axes, pairwise: float) -> None:
    """One bar: how the two losses share the pull on the texts."""
    axis.barh([0], [1 - pairwise], color=GOOD, height=0.8)
    axis.barh([0], [pairwise], left=[1 - pairwise], color=BAD, height=0.8)
    parts = ((0.5 - pairwise / 2, 1 - pairwise, "contrastive"), (1 - pairwise / 2, pairwise, "pairwise"))
    for at, share, words in parts:
        if share > 0.3:
            axis.text(at, 0, f"{words} {share:.0%}", ha="center", va="center", color="white", fontsize=9)
    axis.set(xlim=(0, 1), xticks=[], yticks=[], xlabel=f"pull on the texts: {pairwise:.0%} pairwise loss")
    axis.spines[:].set_visible(False)


def _edges(low: float, high: float) -> np.ndarray:
    """About 24 equal bins, one of whose edges is 0, so that no bar mixes both verdicts."""
    width = max(high - low, 1e-6) / 24
    return np.asarray(width * np.arange(np.floor(low / width), np.ceil(high / width) + 1))


def _some(number: int) -> list[int]:
    """A few ranks to name along an axis."""
    return sorted(set(np.linspace(0, number - 1, min(number, 6)).round().astype(int).tolist()))


def _pairs(model: L2RCLIP, batch: Tensor, y: Tensor) -> np.ndarray:
    """Gradients of one batch, under the loss that the config names."""
    plain = model.config.contrastive == "plain"
    return pair_gradients(batch, text_features(model), y, float(model.scale.detach()), plain=plain).numpy()
