"""What `make clip` measured with published CLIPs: a figure and a paragraph of its rows.

`experiments/matrix/clip.yaml` says what is run, and fixed beforehand what is tested: the three
claims of `gains.CLAIMS` for each towers, on the mean of the data sets that were at hand, with Holm
over all of them.
"""

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book.evidence import intervals
from l2rclip_book.gains import (
    CLAIMS,
    NONE,
    best_rows,
    compare_pairs,
    gain_table,
    labelled,
    with_verdicts,
)
from l2rclip_book.plots import DATA
from l2rclip_book.results import StoredRows, read_rows

TABLE = "clip.csv"
EMPTY = (
    "**No rows yet.** `make clip` fills this place, on a machine with a network and a GPU, in "
    "about 180 minutes at 30 teraflops: operations were counted, nothing was measured. "
    "Send `book/results/clip.csv` and the two files beside it by a pull request; *Rows of your "
    "own* in CONTRIBUTING.md says how."
)
RIVALS = {  # of the tuned tower
    "L2RCLIP against cross-entropy": ("L2RCLIP", NONE),
    "L2RCLIP against cross-entropy + RPS": ("L2RCLIP", "rps"),
    "L2RCLIP against random prototypes": ("L2RCLIP", "random prototypes"),
}


def read_clip(folder: str = "") -> StoredRows | None:
    """Return the rows of `make clip`; None where there are none yet.

    They have the column `towers`, and the record says in `towers` the commits and the SHA-256 of
    the weights of each, and whether they were known beforehand; in `left_out` which data sets
    could not be had.

    Args:
        folder: Of `clip.csv` and its two siblings, see `find_result`.
    """
    return read_rows("clip", folder)


def judged_claims(clip: StoredRows) -> pd.DataFrame:
    """Judge the three claims for each towers.

    Returns:
        The rows of `gains.compare_pairs`, a claim and its towers in `row`. Where it is the mean of
        the sets, `holm`, and `verdict`: "better" or "worse" where holm ≤ 0.05, "not shown", or
        "incomplete" while units of the study are missing.
    """
    gains = _gains_by_towers(clip.images[clip.images["study"] == "main"], CLAIMS)
    n_claims = len(CLAIMS) * len(clip.record["towers"])
    return with_verdicts(gains, n_claims, 0, clip.record["missing"], ["main"])


def tuned_gains(clip: StoredRows) -> pd.DataFrame:
    """Compare L2RCLIP with rivals on a tuned tower, each at the rate that validates best.

    The rate is that of the study in which the arm had the lowest RPS of the validation images.
    """
    keys = ["towers", "data", "run", "arm"]
    tuned = clip.table[clip.table["study"].str.startswith("tuned")]
    at_best = clip.images.merge(best_rows(tuned, keys)[[*keys, "study"]])
    return _gains_by_towers(at_best, RIVALS)


def _gains_by_towers(images: pd.DataFrame, pairs: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Return `gains.compare_pairs` for each towers, whose name ends `row`."""
    by_towers = images.groupby("towers", sort=False)
    parts = {towers: compare_pairs(part, pairs) for towers, part in by_towers}
    gains = labelled(parts, ["towers"])
    return gains.assign(row=gains["row"] + ", " + gains["towers"])


def clip_figure(clip: StoredRows | None) -> Figure | None:
    """Draw the claims and the tuned arms with their intervals; None where there are no rows."""
    if clip is None:
        return None

    gains = pd.concat([judged_claims(clip), tuned_gains(clip)], ignore_index=True)
    return intervals(gains, label="RPS reduced by, %", title="The three claims, then tuned towers")


def clip_paragraph(clip: StoredRows | None) -> str:
    """Return the rows as Markdown; where there are none, how to fill the place."""
    if clip is None:
        return EMPTY

    parts = []
    for towers, weights in clip.record["towers"].items():
        origin = "".join(
            f"{name}, commit {commit[:12]}; " for name, commit in weights["commits"].items()
        )
        trust = "as pinned" if weights["pinned"] else "as it was there: none was known before"
        parts.append(f"**{towers}**: {origin}SHA-256 {weights['sha256'][:12]}… {trust}.")
    parts.append(gain_table(judged_claims(clip), "RPS reduced by, %"))
    parts.append(gain_table(tuned_gains(clip), "tuned tower, at the rate that validates best"))

    left_out = [DATA[name][0] for name in clip.record["left_out"]]
    if left_out:
        parts.append(f"Without {'; '.join(left_out)}: these images could not be had there.")
    if clip.record["missing"]:
        parts.append(f"Not run: {', '.join(clip.record['missing'])}.")
    return "\n\n".join(parts)
