"""What `make clip` measured with published CLIPs: a figure and a paragraph of its rows.

`experiments/matrix/clip.yaml` says what is run, and fixed beforehand what is tested: the three
claims of `gains.CLAIMS` for each towers, on the mean of the data sets that were at hand, with Holm
over all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from l2rclip_book.evidence import intervals
from l2rclip_book.gains import CLAIMS, MEAN, NONE, compare_pairs
from l2rclip_book.result_files import find_result, read_table
from l2rclip_book.statistics import holm
from l2rclip_book.style import DATA

TABLE = "clip.csv"
HOURS = 3  # of a GPU that does 30 · 10¹² operations a second: counted, not measured
EMPTY = (
    "**No rows yet.** `make clip` fills this place, on a machine with a network and a GPU, in "
    f"about {60 * HOURS} minutes at 30 teraflops: operations were counted, nothing was measured. "
    "Send `book/results/clip.csv` and the two files beside it by a pull request; *Rows of your "
    "own* in CONTRIBUTING.md says how."
)
RIVALS = {  # of the tuned tower
    "L2RCLIP against cross-entropy": ("L2RCLIP", NONE),
    "L2RCLIP against cross-entropy + RPS": ("L2RCLIP", "rps"),
    "L2RCLIP against random prototypes": ("L2RCLIP", "random prototypes"),
}


@dataclass(frozen=True)
class ClipRows:
    """The rows of `make clip`.

    Args:
        table: A row per towers, study, data set, run and arm.
        images: The scores of each test image in each of them.
        record: How they were made: `towers` (commits and SHA-256 of the weights of each, and
            whether they were known beforehand), `missing` units, and `left_out`, the data sets that
            could not be had.
    """

    table: pd.DataFrame
    images: pd.DataFrame
    record: dict[str, Any]


def read_clip(folder: str = "") -> ClipRows | None:
    """Return the rows of `make clip`; None where there are none yet.

    Args:
        folder: Of `clip.csv` and its two siblings, see `find_result`.
    """
    file = find_result(TABLE, folder)
    if file is None:
        return None
    record = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    images = read_table(file.with_suffix(".images.csv.gz"))
    return ClipRows(read_table(file), images, record)


def judged_claims(clip: ClipRows) -> pd.DataFrame:
    """Judge the three claims for each towers.

    Returns:
        The rows of `gains.compare_pairs`, a claim and its towers in `row`. Where it is the mean of
        the sets, `holm`, and `verdict`: "better" or "worse" where holm ≤ 0.05, "not shown", or
        "incomplete" while units of the study are missing.
    """
    main = clip.images[clip.images["study"] == "main"]
    gains = _gains_by_towers(main, CLAIMS)
    means = gains["data"] == MEAN
    claims = gains.loc[means]

    n_absent = len(CLAIMS) * len(clip.record["towers"]) - len(claims)  # they count all the same
    adjusted = pd.Series(holm([*claims["p"], *[1.0] * n_absent])[: len(claims)], claims.index)
    verdicts = pd.Series("not shown", claims.index).mask(
        adjusted <= 0.05, claims["gain"].gt(0).map({True: "better", False: "worse"})
    )
    for unit in clip.record["missing"]:
        towers, _, rest = unit.partition(" ")
        if rest.startswith("main/"):
            verdicts[claims["towers"] == towers] = "incomplete"
    return gains.assign(holm=adjusted, verdict=verdicts).fillna({"verdict": ""})


def tuned_gains(clip: ClipRows) -> pd.DataFrame:
    """Compare L2RCLIP with rivals on a tuned tower, each at the rate that validates best."""
    return _gains_by_towers(at_best_rate(clip), RIVALS)


def at_best_rate(clip: ClipRows) -> pd.DataFrame:
    """Return the image scores of tuned towers, of each arm at one rate in each run.

    The rate is that of the study in which the arm had the lowest RPS of the validation images.
    """
    keys = ["towers", "data", "run", "arm"]
    tuned = clip.table[clip.table["study"].str.startswith("tuned")]
    best = tuned.sort_values("val_rps", kind="stable").drop_duplicates(keys)
    return clip.images.merge(best[[*keys, "study"]])


def _gains_by_towers(images: pd.DataFrame, pairs: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Return `gains.compare_pairs` for each towers, whose name ends `row`."""
    parts = [compare_pairs(images[:0], pairs).assign(towers="")]
    for towers, part in images.groupby("towers", sort=False):
        gains = compare_pairs(part, pairs)
        parts.append(gains.assign(row=gains["row"] + f", {towers}", towers=towers))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled or parts, ignore_index=True)


def clip_figure(clip: ClipRows | None) -> Figure | None:
    """Draw the claims and the tuned arms with their intervals; None where there are no rows."""
    if clip is None:
        return None

    gains = pd.concat([judged_claims(clip), tuned_gains(clip)], ignore_index=True)
    return intervals(gains, label="RPS saved, %", title="The three claims, then tuned towers")


def clip_paragraph(clip: ClipRows | None) -> str:
    """Return the rows in words, as Markdown; where there are none, how to fill the place."""
    if clip is None:
        return EMPTY

    claims = judged_claims(clip)
    tuned = tuned_gains(clip)
    parts = [_towers_in_words(clip, towers, claims, tuned) for towers in clip.record["towers"]]
    return "\n\n".join([*parts, *_what_is_missing(clip)])


def _towers_in_words(clip: ClipRows, towers: str, claims: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """Return the sentences of one towers: which weights, the claims, the tuned arms."""
    own_claims = claims[(claims["towers"] == towers) & (claims["data"] == MEAN)]
    own_tuned = tuned[(tuned["towers"] == towers) & (tuned["data"] == MEAN)]
    listed = [
        f"{_name(gain, towers)} **{gain['verdict']}**, {_size(gain)}, p = {gain['holm']:.2g}"
        for gain in own_claims.to_dict("records")
    ]
    trained = [f"{_name(gain, towers)} {_size(gain)}" for gain in own_tuned.to_dict("records")]

    in_main = claims.loc[claims["towers"] == towers, "data"]
    sets = "; ".join(DATA[name][0] for name in DATA if name in set(in_main))
    return (
        f"**{towers}** ({_weights_in_words(clip.record['towers'][towers])}). RPS saved in %, on "
        f"the mean of {sets or 'no data set'}, p after Holm over all claims: "
        f"{'; '.join(listed) or 'no rows'}. With a tuned tower, at the rate that validation "
        f"prefers: {'; '.join(trained) or 'no rows'}."
    )


def _weights_in_words(weights: dict[str, Any]) -> str:
    """Return where weights came from, and whether their digest was known before."""
    digest = f"SHA-256 {weights['sha256'][:12]}…"
    if not weights["commits"]:
        return f"not downloaded, {digest} of the tensors"

    commits = "; ".join(
        f"{name}, commit {commit[:12]}" for name, commit in weights["commits"].items()
    )
    trust = "as pinned" if weights["pinned"] else "as downloaded: none was known before"
    return f"{commits}; {digest} {trust}"


def _name(gain: Mapping[Any, Any], towers: str) -> str:
    """Return the name of a comparison without its towers."""
    return str(gain["row"]).removesuffix(f", {towers}")


def _size(gain: Mapping[Any, Any]) -> str:
    """Return a gain with its interval."""
    text = f"{gain['gain']:+.1f} [{gain['low']:.1f}, {gain['high']:.1f}]"
    return text.replace("-", "−")


def _what_is_missing(clip: ClipRows) -> Iterator[str]:
    """Yield a sentence on data sets that were left out, and one on units without rows."""
    left_out = [DATA[name][0] for name in clip.record["left_out"]]
    if left_out:
        yield f"Without {'; '.join(left_out)}: these images could not be had there."
    if clip.record["missing"]:
        yield f"Not run: {', '.join(clip.record['missing'])}."
