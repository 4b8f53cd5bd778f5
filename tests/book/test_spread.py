"""Stored runs of chapters: how they are kept, and what a page says of a number outside them."""

from pathlib import Path

import execute
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

print(beside_stored({"test mae": 0.5 + SEED}, stored_runs("01")))
"""


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """A chapter that hands over one number, beside two stored runs of it."""
    source = tmp_path / "book" / "01_band.py"
    table = source.parent / "results" / "spread" / "01.csv"
    table.parent.mkdir(parents=True)
    source.write_text(BAND, encoding="utf-8")
    rows = {"kernels": ["avx2", "sse"], "seed": [0, 0], "test mae": [0.4, 0.6]}
    pd.DataFrame(rows).to_csv(table, index=False)
    return source


@pytest.mark.slow
def test_a_number_outside_the_band_stops_no_page_and_is_told(chapter: Path) -> None:
    """The page is made, and its last cell names the number and the band."""
    page = chapter.with_suffix(".ipynb")
    for seed, sentence in (
        (0, "Today’s run lies in the band of the 2 stored runs"),
        (3, "in 1 of 1 numbers: test mae 3.5 (0.4 to 0.6)."),
    ):
        execute.execute(chapter, page, {"PROFILE": "page", "SEED": seed})
        assert sentence in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_stopped_spread_goes_on_where_it_was(
    chapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is a row with its seed and its kernels; what is there is not run again."""
    monkeypatch.setattr(spread, "FOLDER", chapter.parent / "results" / "spread")
    monkeypatch.setattr(spread, "SEEDS", range(2))
    assert spread.missing(chapter, ["avx2", "sse"]) == [("avx2", 1), ("sse", 1)]

    row = spread.row_of(chapter, "sse", 1)
    assert (row["kernels"], row["seed"], row["test mae"]) == ("sse", 1, 1.5)
    spread.add(spread.FOLDER / "01.csv", row)
    assert spread.missing(chapter, ["avx2", "sse"]) == [("avx2", 1)]
    assert list(pd.read_csv(spread.FOLDER / "01.csv")["test mae"]) == [0.4, 0.6, 1.5]


@pytest.mark.parametrize("file", sorted(spread.FOLDER.glob("*.csv")), ids=lambda file: file.stem)
def test_stored_runs_are_five_seeds_under_three_kinds_of_kernels(file: Path) -> None:
    """Each with the commit that made it, and with no gap."""
    runs = pd.read_csv(file)
    assert sorted(set(runs["kernels"])) == ["avx2", "avx512", "sse"]
    assert len(runs) == len(runs[["kernels", "seed"]].drop_duplicates()) == 15
    assert not runs.isna().any(axis=None)
    assert runs["commit"].str.fullmatch("[0-9a-f]{7,}").all()
