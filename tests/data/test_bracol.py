"""BRACOL: the authors' folds are rebuilt exactly, and a download is kept only if every byte is right."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from l2rclip_lite.data import bracol, download_bracol, load_dataset
from l2rclip_lite.data.bracol import authors_folds
from l2rclip_lite.errors import InputError

TEST_COUNTS = {  # of the project's data notes, section 8
    1: [40, 134, 51, 16, 11],
    2: [35, 133, 52, 20, 12],
    3: [48, 141, 39, 17, 7],
    4: [46, 141, 42, 15, 8],
    5: [40, 135, 60, 9, 8],
}


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_the_authors_folds_are_those_of_the_labels_file(real_bracol: Path, fold: int) -> None:
    """All 1,685 rows of all five folds; counts as in the data notes."""
    with (real_bracol / "labels.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    column = "split" if fold == 1 else f"split_fold{fold}"
    assert authors_folds(len(rows), fold) == [row[column] for row in rows]
    data = load_dataset("bracol", root=real_bracol, fold=fold)
    assert data.counts("test") == TEST_COUNTS[fold]
    assert data.test[0][0].size == (512, 256)


def test_both_layouts_give_the_same_data(real_bracol: Path, tmp_path: Path) -> None:
    """labels.csv + images/ and dataset.csv + leaf/ hold the same pictures in the same order."""
    (tmp_path / "dataset.csv").write_bytes((real_bracol / "dataset.csv").read_bytes())
    (tmp_path / "leaf").mkdir()
    for number in range(1, 1748):
        if (real_bracol / "images" / f"{number}.jpg").exists():
            (tmp_path / "leaf" / f"{number}.jpg").touch()
    ours, theirs = (
        load_dataset("bracol", root=real_bracol, fold=3),
        load_dataset("bracol", root=tmp_path, fold=3),
    )
    for split in ("train", "val", "test"):
        assert ours.split(split).targets == theirs.split(split).targets
        assert [Path(path).name for path in ours.split(split).paths] == [
            Path(path).name for path in theirs.split(split).paths
        ]


def test_the_digests_in_the_code_are_those_of_the_real_files(real_bracol: Path, tmp_path: Path) -> None:
    """The real licence, labels and 1,685 pictures pass the check of the download; with a byte more they do not."""
    (tmp_path / "LICENSE").symlink_to(real_bracol / "LICENSE")
    (tmp_path / "dataset.csv").write_bytes((real_bracol / "dataset.csv").read_bytes())
    (tmp_path / "leaf").symlink_to(real_bracol / "images")
    bracol._check(tmp_path)
    with (tmp_path / "dataset.csv").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(InputError, match="SHA-256"):
        bracol._check(tmp_path)


def archive(folder: Path, files: dict[str, bytes]) -> str:
    """A repository as GitHub packs it."""
    packed = folder / "repository.tar.gz"
    with tarfile.open(packed, "w:gz") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"lara2018-a6c38b693094/{name}")
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return packed.as_uri()


def tiny(count: int = 20) -> dict[str, bytes]:
    """The repository with few leaves and one that dataset.csv does not list."""
    table = "id,predominant_stress,severity\n" + "".join(f"{n},0,{n % 5}\n" for n in range(1, count + 1))
    files = {"LICENSE": b"MIT", "classification/dataset/dataset.csv": table.encode(), "README.md": b"no"}
    for number in range(1, count + 2):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 2), (number, 0, 0)).save(buffer, "JPEG")
        files[f"classification/dataset/leaf/{number}.jpg"] = buffer.getvalue()
    return files


def test_a_download_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right archive is unpacked; a changed or missing picture, or no archive, leaves nothing behind."""
    from hashlib import sha256

    files, root = tiny(), tmp_path / "bracol"
    pictures = [sha256(files[f"classification/dataset/leaf/{n}.jpg"]).digest() for n in range(1, 21)]
    right = {
        "LICENSE": sha256(files["LICENSE"]).hexdigest(),
        "dataset.csv": sha256(files["classification/dataset/dataset.csv"]).hexdigest(),
        "leaf": sha256(b"".join(pictures)).hexdigest(),
    }
    monkeypatch.setattr(bracol, "SHA256", right)
    assert download_bracol(root, url=archive(tmp_path, files)) == root
    assert sorted(path.name for path in root.iterdir()) == ["LICENSE", "dataset.csv", "leaf"]
    assert len(list((root / "leaf").iterdir())) == 20
    with pytest.raises(InputError, match="already holds something"):
        download_bracol(root, url=archive(tmp_path, files))

    files["classification/dataset/leaf/7.jpg"] += b"!"
    with pytest.raises(InputError, match="pictures have SHA-256"):
        download_bracol(tmp_path / "other", url=archive(tmp_path, files))
    del files["classification/dataset/leaf/7.jpg"]
    with pytest.raises(InputError, match=r"holds no 7\.jpg"):
        download_bracol(tmp_path / "other", url=archive(tmp_path, files))
    with pytest.raises(InputError, match="cannot be fetched"):
        download_bracol(tmp_path / "other", url=(tmp_path / "nowhere.tar.gz").as_uri())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bracol", "repository.tar.gz"]


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    """An empty folder, a sixth fold, a severity of 5."""
    with pytest.raises(InputError, match="download_bracol"):
        load_dataset("bracol", root=tmp_path)
    with pytest.raises(InputError, match="fold must be 1, 2, 3, 4 or 5, not 6"):
        load_dataset("bracol", root=tmp_path, fold=6)
    (tmp_path / "labels.csv").write_text("path,label,split\n1.jpg,0,train\n./1.jpg,4,test\n")
    with pytest.raises(InputError, match=r"labels.csv row 3: the image ./1.jpg stands in labels.csv row 2"):
        load_dataset("bracol", root=tmp_path)
    (tmp_path / "labels.csv").write_text("path,label,split\nimages/1.jpg,5,train\n")
    with pytest.raises(InputError, match=r"labels.csv row 2: the severity '5' is none of"):
        load_dataset("bracol", root=tmp_path)
