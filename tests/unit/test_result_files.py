"""Where the rows of the studies are looked for."""

from pathlib import Path

import pytest

from l2rclip_book.results import find_result


def test_a_named_folder_is_the_only_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a chapter finds them beside itself, and a script from the root of the repository."""
    own = tmp_path / "own"
    results = tmp_path / "book" / "results"
    for folder in (own, results):
        folder.mkdir(parents=True)
    (results / "rows.csv").touch()
    monkeypatch.chdir(tmp_path)

    assert find_result("rows.csv", str(own)) is None
    assert find_result("rows.csv") == Path("book/results/rows.csv")

    monkeypatch.chdir(results.parent)
    assert find_result("rows.csv") == Path("results/rows.csv")
