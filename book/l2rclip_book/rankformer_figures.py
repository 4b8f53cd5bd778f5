"""What RankFormer reads and moves, and rank sentences drawn as grids of words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
import torch
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.typing import ColorType
from torch import Tensor, nn

from l2rclip_book.plots import COLOURS, INK, PAPER, canvas, drawn, ink_on, rank_colours
from l2rclip_book.templates import token_text
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
    rows = []
    for ids, mask, words in zip(tokens.ids.tolist(), tokens.mask, tokens.words, strict=True):
        row = [PADDING] * len(ids)
        for slot in words.nonzero().flatten().tolist():
            row[slot] = token_text(towers, ids[slot])

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
    former: RankFormer, embeddings: Embeddings, tokens: Tokens, rank: int, slot: int
) -> Slots:
    r"""Measure how strongly one refined word depends on every slot.

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
    probe = torch.randn(embeddings.shape[-1], generator=torch.Generator().manual_seed(0))
    leaf = embeddings.detach().clone().requires_grad_()
    answer = former(leaf, tokens)[rank, slot] @ probe
    gradient: Tensor = torch.autograd.grad(answer, leaf)[0]
    return gradient.norm(dim=-1)


@torch.no_grad()
def changed_ranks(
    former: RankFormer, embeddings: Embeddings, tokens: Tokens
) -> Float[Tensor, "disturbed rank"]:
    """Measure how far R′ of each sentence moves when the words of one are disturbed.

    It is relative to the move of the disturbed sentence.

    Args:
        former: A woken or trained RankFormer.
        embeddings: Word embeddings R.
        tokens: Which slots hold words.

    Returns:
        Row i: noise was added to all words of rank i; 0 where nothing moved.
    """
    noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(0))
    noise = 0.1 * embeddings.std() * noise * tokens.words[..., None]

    before = former(embeddings, tokens)
    rows = []
    for rank in range(len(embeddings)):
        disturbed = embeddings.clone()
        disturbed[rank] += noise[rank]
        moved = (former(disturbed, tokens) - before).flatten(1).norm(dim=1)
        rows.append(moved / moved[rank])
    return torch.stack(rows)


@torch.no_grad()
def movement(former: RankFormer, embeddings: Embeddings, tokens: Tokens) -> Slots:
    r"""Measure how far RankFormer moves each slot, in its own length.

    It is $\lVert R'_{kn}-R_{kn}\rVert/\lVert R_{kn}\rVert$.

    Example:
        >>> on = torch.ones(2, 3, dtype=torch.bool)
        >>> tokens = Tokens(torch.ones(2, 3, dtype=torch.long), on, on, on)
        >>> former = RankFormer(8, heads=2, alpha=0.25)
        >>> movement(former, torch.ones(2, 3, 8), tokens)[0]  # at the start: α
        tensor([0.2500, 0.2500, 0.2500])
    """
    moved = former(embeddings, tokens) - embeddings
    return moved.norm(dim=-1) / embeddings.norm(dim=-1)


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
CONTEXT = "#f0cfa8"
WORD = "#cfdcee"
SEEN = "#f2b8a6"
MAX_WORDS = 12  # that are written beside a matrix


def _is_word(spelt: Spelt) -> Bool[np.ndarray, "rank slot"]:
    """Return which slots hold words."""
    return ~np.isin(np.array(spelt), (START, END, PADDING))


def sentence_grid(
    axis: Axes,
    spelt: Spelt | np.ndarray,
    values: Float[np.ndarray, "rank slot"] | Int[np.ndarray, "rank slot"],
    cmap: Colormap,
    norm: Normalize | None = None,
) -> None:
    """Draw sentences as a heat map with their words in it: one row per rank, one column per slot.

    Args:
        axis: Where to draw.
        spelt: Text of each slot.
        values: What the colour shows.
        cmap: Of the values.
        norm: Of the values; by default they are numbers of the colours, from 0.
    """
    sns.heatmap(
        values,
        ax=axis,
        annot=np.array(spelt),
        cmap=cmap,
        norm=norm or Normalize(0, cmap.N - 1),
        linewidths=1,
        linecolor=INK,
        xticklabels=False,
        annot_kws={"fontsize": 8},
        fmt="",
        cbar=False,
    )
    colours = to_rgba_array(axis.collections[0].get_facecolor())
    for text, colour in zip(axis.texts, colours, strict=True):
        text.set_color(ink_on(colour))

    axis.tick_params(length=0, rotation=0, pad=9)
    for rank, colour in enumerate(rank_colours(len(spelt))):
        axis.add_patch(Rectangle((-0.1, rank + 0.08), 0.1, 0.84, color=colour, clip_on=False))


def _frame(axis: Axes, rank: int, slot: int, colour: ColorType) -> None:
    """Draw a frame around one slot."""
    corner = (slot + 0.04, rank + 0.06)
    frame = Rectangle(corner, 0.92, 0.88, fill=False, edgecolor=colour, linewidth=2.4)
    axis.add_patch(frame)


@drawn()
def token_grid(spelt: Spelt, rank_words: Bool[Tensor, "rank token"], context: int) -> Figure:
    """Draw the kind of each slot of every rank sentence, and who may change it.

    Args:
        spelt: Words of the template, from `spellings`.
        rank_words: Which of these spell the rank.
        context: Number of context vectors.
    """
    vectors = [f"c{number + 1}" for number in range(context)]
    rows = [[row[0], *vectors, *row[1:]] for row in spelt]
    kinds = np.where(_is_word(rows), 3, 1)
    kinds[:, 1 : 1 + context] = 2
    kinds[np.array(rows) == PADDING] = 0

    keys = {
        "word: RankFormer reads and changes it": Patch(facecolor=WORD),
        "word of the rank's name": Patch(facecolor=WORD, edgecolor=INK, linewidth=1.8),
        "context: learned, one for all ranks": Patch(facecolor=CONTEXT),
        "start, end: never read, never changed": Patch(facecolor=FIXED),
    }
    figure = canvas(0.42 * len(rows) + 1.05)
    axis = figure.subplots()
    sentence_grid(axis, rows, kinds, ListedColormap([PAPER, FIXED, CONTEXT, WORD]))

    colours = rank_colours(len(rows))
    for rank, slot in rank_words.nonzero().tolist():
        _frame(axis, rank, slot + context, colours[rank])
    figure.legend(list(keys.values()), list(keys), loc="outside lower left", ncols=2)
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
    height = (0.32 * len(spelt) + 0.6) * len(reads)
    figure = canvas(height)
    axes = figure.subplots(len(reads), 2, squeeze=False, width_ratios=(4.2, 1))

    for (title, read), (left, right) in zip(reads.items(), axes, strict=True):
        kinds = _is_word(spelt).astype(int) + (read.numpy() > 0)
        sentence_grid(left, spelt, kinds, ListedColormap([PAPER, FIXED, SEEN]))
        _frame(left, *asked, COLOURS["stage 2"])
        left.set_title(f"axis {title}: what the framed word reads")
        changed = changes[title].numpy() > 1e-6
        right.imshow(changed, cmap=ListedColormap([PAPER, SEEN]), vmin=0, vmax=1)
        right.set(title="who changes", ylabel="disturbed rank", xlabel="changed rank")
        right.set(xticks=range(len(spelt)), yticks=range(len(spelt)))
    return figure


@drawn()
def movement_figure(moves: Mapping[str, Slots], spelt: Spelt) -> Figure:
    """Draw how far each word moved, in its own length, on one logarithmic scale for all axes.

    Args:
        moves: `movement` after training, by axis.
        spelt: Words of the template.
    """
    cmap = sns.color_palette("YlGnBu", as_cmap=True).with_extremes(under=FIXED)
    words = _is_word(spelt)
    height = (0.44 * len(spelt) + 0.42) * len(moves)
    figure = canvas(height)
    axes = figure.subplots(len(moves), 1, squeeze=False)[:, 0]

    for axis, (title, moved) in zip(axes, moves.items(), strict=True):
        lengths = np.char.mod("\n%.2f", moved.numpy())
        texts = np.where(words, np.char.add(spelt, lengths), spelt)
        values = np.where(words, moved.numpy().clip(0.125, 8), 1e-9)
        sentence_grid(axis, texts, values, cmap, LogNorm(0.125, 8))
        axis.set_title(f"axis {title}")

    _log_bar(figure, axes, "moved, in lengths of the word")
    return figure


@drawn()
def attention_figure(stored: Mapping[str, Any], chosen: Sequence[tuple[str, int]]) -> Figure:
    """Draw who looks at whom in some slots, before stage 1 and, in the row below, after it.

    Args:
        stored: What `tools/attention_data.py` writes.
        chosen: The key of a rank set and a slot, for each column.
    """
    sets = {each["key"]: each for each in stored["sets"]}
    figure = canvas(5.2)
    axes = figure.subplots(2, len(chosen), squeeze=False)

    for column, (key, number) in zip(axes.T, chosen, strict=True):
        slot = next(each for each in sets[key]["slots"] if each["slot"] == number)
        for axis, when in zip(column, ("before", "after"), strict=True):
            _draw_attention(axis, slot, when, stored["unit"])
            axis.set_title(f"{sets[key]['title']}, slot {number}\n{when} stage 1", fontsize=9)
        column[0].set_xticks([])

    _log_bar(figure, axes, "times an even share")
    return figure


def _draw_attention(axis: Axes, slot: Mapping[str, Any], when: str, unit: float) -> None:
    """Draw the weights of one slot as shares of an even one: rows look, columns are looked at."""
    places = [place for place in slot["of"] if place is not None]
    weights = unit * np.array(slot[when], dtype=float)[np.ix_(places, places)]
    shares = (len(places) * weights).clip(0.25, 4)
    words = [slot["words"][place] for place in places] if len(places) <= MAX_WORDS else False
    sns.heatmap(
        shares,
        ax=axis,
        cmap="RdBu_r",
        norm=LogNorm(0.25, 4),
        square=True,
        cbar=False,
        xticklabels=words,
        yticklabels=words,
    )
    axis.tick_params(length=0, labelsize=8)
    axis.tick_params("x", rotation=60)
    axis.tick_params("y", rotation=0)


def _log_bar(figure: Figure, axes: np.ndarray, label: str) -> None:
    """Draw a colour bar of heat maps on a logarithmic scale, with ticks at powers of two."""
    mesh = axes.flat[0].collections[0]
    ticks = 2.0 ** np.arange(-3, 4)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.6, label=label, ticks=ticks, format="%g")
    bar.minorticks_off()
