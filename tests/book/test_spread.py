"""Stored runs of chapters: how they are kept, and what a page says of a number outside them."""

from operator import attrgetter
from pathlib import Path

import pandas as pd
import pytest
import spread

BAND = """\
# %% [markdown]
# # A chapter

# %% tags=["parameters"]
PROFILE = "page"
SEED = 0

# %% tags=["spread"]
from l2rclip_book.results import beside_stored, stored_runs

stored = stored_runs("01")
assert len(stored) in (0, 4)
print(beside_stored({"test mae": 0.5 + SEED}, stored))
"""


@pytest.mark.slow
def test_a_stopped_spread_goes_on_and_a_page_names_a_number_outside_the_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is a row with its seed and its kernels; what is there is not run again.

    A number outside the band of the stored runs stops no page.
    """
    folder = tmp_path / "results" / "spread"
    folder.mkdir(parents=True)
    monkeypatch.setattr(spread, "FOLDER", folder)
    monkeypatch.setattr(spread, "SEEDS", range(2))
    chapter = tmp_path / "01_band.py"
    chapter.write_text(BAND, encoding="utf-8")
    stored = pd.DataFrame(
        {"kernels": "avx2", "seed": [0, 1], "commit": "a", "test mae": [0.4, 0.6]}
    )
    stored.to_csv(folder / "01.csv", index=False)
    assert spread.missing(chapter, ["avx2", "sse"]) == [("sse", 0), ("sse", 1)]

    spread.add(folder / "01.csv", spread.row_of(chapter, "sse", 1))
    assert spread.missing(chapter, ["avx2", "sse"]) == [("sse", 0)]
    last = pd.read_csv(folder / "01.csv").iloc[-1]
    assert (last["kernels"], last["seed"], last["test mae"]) == ("sse", 1, 1.5)


@pytest.mark.parametrize("file", sorted(spread.FOLDER.glob("*.csv")), ids=attrgetter("stem"))
def test_stored_runs_are_five_seeds_under_three_kinds_of_kernels(file: Path) -> None:
    """Each with the commit that made it, and with no gap."""
    runs = pd.read_csv(file)
    assert sorted(set(runs["kernels"])) == ["avx2", "avx512", "sse"]
    assert len(runs) == len(runs[["kernels", "seed"]].drop_duplicates()) == 15
    assert not runs.isna().any(axis=None)
    assert runs["commit"].str.fullmatch("[0-9a-f]{7,}").all()
