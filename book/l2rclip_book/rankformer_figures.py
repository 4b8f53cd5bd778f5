"""What RankFormer reads and moves, and rank sentences drawn as grids of words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.table import Table
from matplotlib.transforms import Bbox
from torch import Tensor, nn

from l2rclip_book.plots import (
    INK,
    NARROW,
    PAPER,
    WRONG,
    canvas,
    drawn,
    heat_map,
    ink_on,
    rank_colours,
)
from l2rclip_lite.method import Embeddings
from l2rclip_lite.method.rankformer import RankFormer
from l2rclip_lite.towers.base import Tokens, Towers

Slots = Float[Tensor, "rank token"]
START = "start"
END = "end"
PADDING = "·"


def spellings(towers: Towers, tokens: Tokens) -> list[list[str]]:
    """Return every slot as text: words as spelt, "start", "end", and "·" for padding.

    Args:
        towers: Whose tokenizer made the tokens.
        tokens: Of sentences without context slots.

    Returns:
        One list per sentence.

    Example:
        >>> from l2rclip_lite import load_towers
        >>> tiny = load_towers("tiny/random")
        >>> spellings(tiny, tiny.tokenize(["a leaf", "a big leaf"]))[0]
        ['start', 'a', 'leaf', 'end', '·']
    """
    tokenizer: Any = towers.tokenizer
    rows = []
    for ids, mask, words in zip(tokens.ids.tolist(), tokens.mask, tokens.words, strict=True):
        row = [PADDING] * len(ids)
        for slot in words.nonzero().flatten().tolist():
            row[slot] = tokenizer.decode([ids[slot]]).strip()

        row[0] = START
        row[int(mask.sum()) - 1] = END
        rows.append(row)
    return rows


def woken(former: RankFormer, seed: int = 0) -> RankFormer:
    """Put random numbers in the last layer, which otherwise starts at zero and shows nothing."""
    last: Any = former.ffn[-1]
    linear = last[2]
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(linear.weight, std=linear.in_features**-0.5, generator=generator)
    return former


def read_by(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens, rank: int, slot: int | slice
) -> Slots:
    r"""Measure how strongly one refined word, or a slice of words, depends on every slot.

    It is $\lVert\partial(v\cdot R'_{kn})/\partial R\rVert$ for a random v.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.
        rank: k, the sentence of the word.
        slot: n, its place.

    Returns:
        Numbers ≥ 0, exactly 0 in slots that the word cannot see.
    """
    probe = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(0))

    def answer(words: Embeddings) -> Tensor:
        return (former(words, tokens) * probe)[rank, slot].sum()

    gradient: Tensor = torch.func.grad(answer)(embeddings)
    return gradient.detach().norm(dim=-1)


def changed_ranks(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "disturbed rank"]:
    """Measure how strongly R′ of each sentence depends on the words of another.

    It is relative to how strongly the other depends on its own words.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Row i: of each sentence on the words of rank i; 0 where it does not see them.
    """
    columns = []
    for rank in range(len(embeddings)):
        read = read_by(former, embeddings, tokens, rank, slice(None))
        columns.append((read * tokens.words).sum(1))
    strength = torch.stack(columns, dim=1)
    return strength / strength.diagonal()[:, None]


@torch.no_grad()
def attention_weights(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "group query key"]:
    """Return the weights with which the words of a group look at each other in RankFormer.

    They are those of its first block, the mean of its heads.

    Args:
        former: A group is a slot with the axis `rank`, a sentence with `token`.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Rows that add up to 1; what start, end and padding look at means nothing.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> attention_weights(RankFormer(8, heads=2), torch.ones(2, 3, 8), tokens)[0]
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])
    """
    caught: list[tuple[Tensor, Tensor]] = []
    with former.attend[0].register_forward_hook(lambda *call: caught.append(call[-1])):
        former(embeddings, tokens)
    return caught[0][1]


Spelt = Sequence[Sequence[str]]
FIXED = "#e4e7eb"
WORD = "#cfdcee"
SEEN = "#f2b8a6"
SHARES = (0.25, 0.5, 1, 2, 4)  # of attention, in units of an even one


def sentence_grid(
    axis: Axes, spelt: Spelt, seen: Bool[np.ndarray, "rank slot"], word: str
) -> Table:
    """Draw sentences as boxes with their words in them: one row per rank, one column per slot.

    Args:
        axis: Where to draw.
        spelt: Text of each slot.
        seen: Which boxes have the colour `SEEN`.
        word: The colour of other words.
    """
    of_text = {START: FIXED, END: FIXED, PADDING: PAPER}
    colours = [[of_text.get(text, word) for text in row] for row in spelt]
    for rank, slot in np.argwhere(seen):
        colours[rank][slot] = SEEN

    axis.axis("off")
    table = axis.table(
        [[f" {text} " for text in row] for row in spelt],
        cellColours=colours,
        cellLoc="center",
        rowLabels=[str(rank) for rank in range(len(spelt))],
        rowColours=rank_colours(len(spelt)),
        bbox=Bbox.unit(),
    )
    table.auto_set_column_width(range(-1, len(spelt[0])))
    table.auto_set_font_size(False)
    for cell in table.get_celld().values():
        cell.set(edgecolor=INK, linewidth=0.8)
        cell.set_text_props(color=ink_on(cell.get_facecolor()), fontsize=9)
    return table


@drawn()
def question_grid(spelt: Spelt, new: Bool[Tensor, "rank slot"]) -> Figure:
    """Draw rank sentences, some with new words, and a question mark behind the others.

    Args:
        spelt: Words of the sentences, from `spellings`.
        new: Which words are new.
    """
    figure = canvas(0.3 * len(spelt) + 0.5, NARROW)
    marks = [" " if edited else "?" for edited in new.any(1)]
    asked = [[*row, mark] for row, mark in zip(spelt, marks, strict=True)]
    table = sentence_grid(figure.subplots(), asked, new.numpy(), WORD)
    for rank in range(len(spelt)):
        table[rank, len(spelt[0])].set(facecolor=PAPER, linewidth=0)

    keys = {"words": WORD, "new words": SEEN, "start and end": FIXED}
    patches = [Patch(facecolor=colour, label=label) for label, colour in keys.items()]
    figure.legend(handles=patches, loc="outside lower left", ncols=3)
    return figure


@drawn()
def axes_figure(
    reads: Mapping[str, Slots],
    changes: Mapping[str, Float[Tensor, "rank rank"]],
    spelt: Spelt,
    asked: tuple[int, int],
) -> Figure:
    """Draw the words that one word reads, and which ranks change with the words of another.

    Args:
        reads: `read_by` of the asked word, by axis.
        changes: `changed_ranks`, by axis.
        spelt: Words of the template.
        asked: Rank and slot of the word.
    """
    height = (0.25 * len(spelt) + 0.5) * len(reads)
    figure = canvas(height, NARROW)
    axes = figure.subplots(len(reads), 2, squeeze=False, width_ratios=(6, 1))

    for (title, read), (left, right) in zip(reads.items(), axes, strict=True):
        table = sentence_grid(left, spelt, read.numpy() > 0, FIXED)
        table[asked].set(edgecolor=WRONG, linewidth=2.2, zorder=3)
        left.set_title(f"axis {title}")

        changed = changes[title].numpy() > 1e-6
        heat_map(
            right,
            changed,
            square=False,
            cmap=[PAPER, SEEN],
            vmin=0,
            vmax=1,
            linecolor=INK,
            linewidths=0.4,
            xticklabels=1,
            yticklabels=False,
        )
        right.set_title("changed", fontsize=9)
    return figure


@drawn()
def attention_figure(stored: Mapping[str, Any], numbers: Sequence[int]) -> Figure:
    """Draw who looks at whom in some slots of five names, before stage 1 and, below, after it.

    Args:
        stored: What `tools/attention_data.py` writes.
        numbers: The slot of each column.
    """
    slots = {each["slot"]: each for each in stored["sets"][0]["slots"]}
    figure = canvas(5.2)
    axes = figure.subplots(2, len(numbers))
    for column, number in zip(axes.T, numbers, strict=True):
        for axis, when in zip(column, ("before", "after"), strict=True):
            _draw_attention(axis, slots[number], when, stored["unit"])
            axis.set_title(f"slot {number}, {when} stage 1", fontsize=9)
        column[0].set_xticks([])

    mesh = axes[0, 0].collections[0]
    label = "times an even share"
    bar = figure.colorbar(mesh, ax=axes, shrink=0.6, label=label, ticks=SHARES, format="%g")
    bar.minorticks_off()
    return figure


def _draw_attention(axis: Axes, slot: Mapping[str, Any], when: str, unit: float) -> None:
    """Draw the weights of one slot as shares of an even one: rows look, columns are looked at."""
    places = [place for place in slot["of"] if place is not None]
    shares = len(places) * unit * np.array(slot[when], dtype=float)[np.ix_(places, places)]
    words = [slot["words"][place] for place in places]
    norm = LogNorm(SHARES[0], SHARES[-1])
    heat_map(axis, shares, cmap="RdBu_r", norm=norm, xticklabels=words, yticklabels=words)
    axis.tick_params(labelsize=8)
    axis.tick_params("x", rotation=60)
