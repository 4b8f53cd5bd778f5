"""`l2rclip data`: every card, counts that agree with the loader, figures, reports, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import real_data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from l2rclip_lite import data
from l2rclip_lite.data import Card, OrdinalDataset, Split, load_dataset
from l2rclip_lite.data.catalogue import catalogue
from l2rclip_lite.data.leakage import leakage_report
from l2rclip_lite.data_command import BAR, _counts, data_parser, run_data
from l2rclip_lite.errors import InputError
from l2rclip_lite.options import NAMES
from l2rclip_lite.plots import rank_histogram
from l2rclip_lite.ranks import Ranks

OFFICIAL = real_data.folder_of("datalists")
needs_official = pytest.mark.skipif(OFFICIAL is None, reason=real_data.missing("datalists"))
Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command line prints; it must end with code 0 and say nothing on stderr."""

    def run(*words: str | Path) -> str:
        assert run_data(data_parser().parse_args([str(word) for word in words])) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


@pytest.fixture(scope="module")
def hci(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fixture made by the command."""
    folder = tmp_path_factory.mktemp("data") / "hci"
    run_data(data_parser().parse_args(["hci", "--make-fixture", str(folder)]))
    return folder


def refusal(*words: str | Path) -> str:
    """The one sentence with which a command line is refused."""
    with pytest.raises(InputError) as refused:
        run_data(data_parser().parse_args([str(word) for word in words]))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_no_name_lists_the_nine_data_sets(say: Say) -> None:
    """One line each, with ranks, unit, number of pictures and the first words of the licence."""
    lines = say().splitlines()
    assert [line.split()[0] for line in lines[1:10]] == list(NAMES)
    rows = {line.split()[0]: re.split(r"  +", line) for line in lines[1:10]}
    assert rows["morph"][2:] == ["62 (years)", "55,134", "the owner's own licence, on application"]
    assert rows["retinamnist"][2:] == ["5 (grade)", "1,600", "CC BY 4.0"]


@pytest.mark.parametrize("name", NAMES)
def test_every_card_says_what_may_be_done_and_what_leaks(say: Say, name: str) -> None:
    """Nothing of the card is lost in wrapping, and nothing but the leaves needs a folder."""
    text = say(name)
    words = " ".join(text.split())
    facts = catalogue()[name]
    for key, value in facts.card.to_dict().items():
        assert " ".join(value.split()) in words, key
    assert all(len(line) <= 100 for line in text.splitlines())
    for protocol, folds in facts.folds.items():
        assert f"--protocol {protocol}" in words or not protocol
        assert (
            f"--fold {folds[0] if folds else ''} to {folds[-1] if folds else ''}" in words or len(folds) < 2
        )


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("morph", "--protocol", "rs-partial", "--fold", "4"), "3,955  439   1,098"),
        (("morph", "--protocol", "three-fold", "--fold", "1"), "6,300  700  14,000"),
        (("clap2015", "--protocol", "val"), "2,228  248  1,136"),
        (("hci", "--fold", "9"), "1,050   25   250"),
        (("aesthetics", "--category", "people"), "1,940  216   539"),
    ],
)
@needs_official
def test_the_official_lists_are_counted_without_a_picture(
    say: Say, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], counts: str
) -> None:
    """Published training = train + val, to the picture; no file is opened as an image."""
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("an image was opened"))
    last = say(*words, "--lists", OFFICIAL).splitlines()[-1]
    assert last.split() == ["all", *counts.split()]


def test_counts_are_the_loaders_and_a_fixture_owns_up(say: Say, hci: Path) -> None:
    """A row a rank, the sum below, the split's sentences above; `--rebin` is seen as in a run."""
    lines = say("hci", "--root", hci, "--fold", "2").splitlines()
    found = load_dataset("hci", root=hci, fold=2)
    assert "SYNTHETIC FIXTURE" in lines[0]
    rows = [line.split()[:4] for line in lines[-6:]]
    columns = [found.counts(split) for split in ("train", "val", "test")]
    assert [[int(cell) for cell in row[1:]] for row in rows[:-1]] == [
        list(row) for row in zip(*columns, strict=True)
    ]
    assert rows[-1] == ["all", *(str(sum(column)) for column in columns)]
    merged = say("hci", "--root", hci, "--fold", "2", "--rebin", "2")
    assert merged.splitlines()[-1].split() == lines[-1].split()
    assert "2 bins" in merged


def test_missing_pictures_are_shown(say: Say, tmp_path: Path) -> None:
    """How many and which, where they are allowed."""
    say("hci", "--make-fixture", tmp_path / "hci")
    lost = sorted((tmp_path / "hci" / "images").iterdir())[0]
    lost.unlink()
    assert "--allow-missing" in refusal("hci", "--root", tmp_path / "hci")
    assert f"missing   1 listed pictures, the first is {lost.name}" in say(
        "hci", "--root", tmp_path / "hci", "--allow-missing"
    )


@given(st.lists(st.integers(0, 300), min_size=2, max_size=70).filter(any))
def test_the_table_is_aligned_and_its_bars_are_in_proportion(counts: list[int]) -> None:
    """A bar for every rank with a picture, 40 signs for the most frequent, none for an empty one."""
    ranks = Ranks.integers(1, len(counts), template="{rank}")
    targets = [rank for rank, count in enumerate(counts) for _ in range(count)]
    split = Split([str(at) for at in range(len(targets))], targets, lambda _: Image.new("L", (1, 1)))
    one = OrdinalDataset(
        "x", split, split, split, ranks, Card("x", "X", "", "?", "", ""), allow_empty_ranks=True
    )
    lines = _counts(one).splitlines()[2:]
    assert len(lines) == len(counts) + 2
    assert [line.count("#") for line in lines[1:-1]] == [-(-BAR * count // max(counts)) for count in counts]
    width = lines[0].index("test") + len("test")
    assert all(
        line[:width].split()[-1] == f"{count:,}" for line, count in zip(lines[1:], counts, strict=False)
    )
    assert all(line[width : width + 1] in ("", " ") for line in lines)


@pytest.mark.parametrize(("name", "magic"), [("ranks.png", b"\x89PNG"), ("new/ranks.svg", b"<?xml")])
def test_a_histogram_is_a_file_with_the_same_bytes_each_time(
    say: Say, hci: Path, tmp_path: Path, name: str, magic: bytes
) -> None:
    """The kind follows the ending."""
    for folder in ("a", "b"):
        said = say("hci", "--root", hci, "--histogram", tmp_path / folder / name)
        assert said.splitlines()[-1] == f"The histogram is in {tmp_path / folder / name}."
    first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
    assert first.startswith(magic)
    assert first == second


def test_the_histogram_draws_each_count_and_crosses_out_empty_ranks() -> None:
    """Bars of the three splits, a cross a missing rank, in the title how many."""
    blank = Split(["a", "b", "c"], [0, 0, 2], lambda _: Image.new("L", (1, 1)))
    ranks = Ranks(("low", "middle", "high"), (0, 1, 2), template="{rank}")
    card = Card("x", "My title", "", "", "", "")
    figure = rank_histogram(
        OrdinalDataset("x", blank, blank[:2], blank, ranks, card, allow_empty_ranks=True, protocol=("done",))
    )
    heights = [[bar.get_height() for bar in axis.patches] for axis in figure.axes]
    assert heights == [[2, 0, 1], [2, 0, 0], [2, 0, 1]]
    many = Split([str(n) for n in range(1000)], [0] * 999 + [2], lambda _: Image.new("L", (1, 1)))
    tall = rank_histogram(OrdinalDataset("x", many, many, many, ranks, card, allow_empty_ranks=True))
    low = tall.axes[0].patches[2].get_height()
    assert 10 < low < 20, "one picture among a thousand can be seen"
    crosses: list[Any] = [axis.collections[0].get_offsets() for axis in figure.axes]
    assert [[int(x) for x, _ in each] for each in crosses] == [[1], [1, 2], [1]]
    assert figure.axes[1].get_title("left") == "val: 2 pictures, 2 of 3 ranks empty (×)"
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("My title", "done")


def test_leakage_covers_every_fold_or_the_one_given(say: Say, tmp_path: Path) -> None:
    """The report is that of `leakage_report`; a fold that is given is the only one, and no picture is needed."""
    say("morph", "--make-fixture", tmp_path / "morph")
    lists = tmp_path / "morph" / "datalists"
    words = ("morph", "--lists", lists, "--leakage", "--protocol", "three-fold")
    whole = leakage_report(
        lambda fold: load_dataset("morph", lists=lists, protocol="three-fold", fold=fold), (1, 2)
    )
    said = say(*words)
    assert said.strip() == whole
    assert max(map(len, said.splitlines())) <= 80  # prose is wrapped
    folds = [line.split()[0] for line in say(*words, "--fold", "2").splitlines() if " test " in line]
    assert folds[:1] == ["2"]
    assert "1" not in folds
    rows = [line for line in say("morph", "--lists", lists, "--leakage").splitlines() if line[:1].isdigit()]
    assert len(rows) == 5 * 2  # without --protocol: the first one, whole
    assert "ambiguous" in refusal(*words[:-1], "D")  # the loader explains the letters


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--leakage",), "data: name a data set before its options, one of leaves, bracol, csv, "),
        (("--fold", "0"), "data: name a data set before its options, one of leaves, bracol, csv, "),
        (("morf",), "there is no data set 'morf'; did you mean morph?"),
        (("x",), "there is no data set 'x'; choose one of leaves, bracol, csv, "),
        (
            ("hci", "--leakage", "--histogram", "a.png"),
            "data: --leakage and --histogram do not go together; ",
        ),
        (("hci", "--make-fixture", "a", "--fold", "1"), "data: --fold does nothing beside --make-fixture; "),
        (
            ("hci", "--download", "a", "--data-seed", "1"),
            "data: --data-seed does nothing beside --download; ",
        ),
        (("hci", "--download", "a", "--pixels", "28"), "data: --pixels does nothing beside --download; "),
        (
            ("leaves", "--make-fixture", "a"),
            "leaves: nobody needs to own these pictures, they are generated; ",
        ),
        (
            ("leaves", "--download", "a"),
            "leaves: there is nothing to download; these pictures are generated.",
        ),
        (("csv", "--download", "a"), "csv: there is nothing to download; these are your own pictures."),
        (("leaves", "--histogram", "a.jpg"), "--histogram: a.jpg must end in .png or .svg."),
        (("hci", "--histogram", "a.png"), "hci: pass lists="),
        (("hci", "--leakage"), "hci: pass lists="),
        (("hci", "--protocol", "x", "--leakage"), "the data set 'hci' has no option 'protocol'; it takes "),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    """And nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert refusal(*words).startswith(sentence)
    assert list(tmp_path.iterdir()) == []


def test_downloads_go_to_the_right_function(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures for bracol and retinamnist, lists for the five whose pictures are not free."""
    called: list[tuple[str, str, dict[str, int]]] = []
    for function in ("download_bracol", "download_retinamnist", "download_official_lists"):
        monkeypatch.setattr(
            data, function, lambda root, *, of=function, **more: called.append((of, root, more))
        )
    assert say("bracol", "--download", "d").endswith("Next: l2rclip data bracol --root d\n")
    say("retinamnist", "--download", "d", "--pixels", "28")
    for name in ("morph", "clap2015", "adience", "hci", "aesthetics"):
        assert say(name, "--download", "d").endswith(f"Next: l2rclip data {name} --lists d\n")
    lists = ("download_official_lists", "d", {})
    assert called == [
        ("download_bracol", "d", {}),
        ("download_retinamnist", "d", {"pixels": 28}),
        *[lists] * 5,
    ]


def test_a_fixture_says_how_to_go_on(say: Say, tmp_path: Path) -> None:
    """The command it prints holds what this data set needs."""
    said = say("csv", "--make-fixture", tmp_path / "csv", "--data-seed", "3")
    assert f'fit --dataset csv --root {tmp_path / "csv"} --ranks "fresh,ripe,overripe" --out' in said
    assert '"seed": 3' in (tmp_path / "csv" / "FIXTURE.json").read_text()


def test_help_needs_neither_torch_nor_matplotlib() -> None:
    """What is slow is imported when it is asked for."""
    code = (
        "import sys; from l2rclip_lite.data_command import data_parser; data_parser().format_help();"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
