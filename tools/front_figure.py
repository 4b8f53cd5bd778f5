"""Draw the picture of the result on the front page and in the README, from `book/results/matrix.csv`.

    python tools/front_figure.py             write book/_static/results.png

The file carries the SHA-256 of the table that it was drawn from, so that a stale picture is noticed.
"""

from __future__ import annotations

import hashlib

import chapters
import pandas as pd
from matplotlib.figure import Figure

PICTURE = chapters.BOOK / "_static" / "results.png"
TABLE = chapters.BOOK / "results" / "matrix.csv"
SETS = {
    "retinamnist": "retina\n5 ranks",
    "bracol": "coffee\n5 ranks",
    "leaves5": "leaves\n5 ranks",
    "leaves20": "leaves\n20 ranks",
    "leaves62": "leaves\n62 ranks",
}


def table_hash() -> str:
    """SHA-256 of the results that the picture shows."""
    return hashlib.sha256(TABLE.read_bytes()).hexdigest()


def draw(found: pd.DataFrame) -> Figure:
    """Leaves in order on the left, what their sentences are worth on the right."""
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.plots import COLOURS, rank_colours, style

    data = load_dataset("leaves", ranks=5, size=160, seed=3)
    with style():
        figure = Figure(figsize=(9.6, 2.8), layout="constrained", dpi=150)
        left, right = figure.subfigures(1, 2, width_ratios=(1.2, 1.1))
        axes = left.subplots(2, 5, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
        for rank, colour in enumerate(rank_colours(5)):
            shown = [i for i, target in enumerate(data.train.targets) if target == rank][:2]
            for axis, index in zip(axes[:, rank], shown, strict=True):
                axis.imshow(data.train[index][0])
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set(visible=True, color=colour, linewidth=2.5)
        left.suptitle("Labels with an order: how damaged is the leaf?", x=0.02, ha="left", fontsize=10.5)
        left.supxlabel("each rank is a sentence; near ranks should stay near", fontsize=9)
        axis, at = right.subplots(), range(len(found))
        axis.axhline(0, color=COLOURS["reference"], linewidth=1)
        error = (found["gain"] - found["low"], found["high"] - found["gain"])
        axis.errorbar(
            at, found["gain"], error, fmt="o", color=COLOURS["stage 2"], markersize=8, linewidth=2.5
        )
        for x, gain in zip(at, found["gain"], strict=True):
            text = f"{gain:+.1f} %".replace("-", "−")
            axis.annotate(text, (x, gain), (9, -3), textcoords="offset points", fontsize=9)
        axis.set_xticks(at, [SETS[name] for name in found.index], fontsize=9)
        axis.set(xlim=(-0.5, len(at) - 0.2), ylabel="error saved against\nvectors without meaning, %")
        axis.set_title("What the sentences are worth")
        axis.grid(axis="y", color="#e4e7eb")
        axis.set_axisbelow(True)
    return figure


def main() -> None:
    """Write the picture."""
    from l2rclip_book.gains import gains_by

    table = pd.read_csv(TABLE, low_memory=False)
    main = table[(table["study"] == "main") & table["condition"].isna()]
    found = gains_by(main.assign(condition="", set=main["data"]), "set", "full", "random prototypes")
    found = found.set_index("set").loc[list(SETS)]
    print(found[["n", "gain", "low", "high", "verdict"]].round(1).to_string())
    draw(found).savefig(PICTURE, metadata={"Software": None, "Source": table_hash()})


if __name__ == "__main__":
    main()
