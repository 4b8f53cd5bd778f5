"""Downloads are whole and right, or not there at all; archives here stand in for the network."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from real_data import real_folder

from l2rclip_lite.data import check
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.check import download
from l2rclip_lite.errors import InputError
from l2rclip_lite.files import sha256_of

LISTS = {
    "LICENSE": b"MIT",
    "hci/1930s.txt": b"a.jpg 1930s\n",
    "morph/settingA/1.txt": b"b.jpg 20\r\n",
}


def pack(file: Path, files: dict[str, bytes], link: str = "") -> None:
    """Write a repository as GitHub packs it, one of its files a link."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"name-168fd4b/datalist/{name}")
            entry.size = len(content)
            if name == link:
                entry.size = 0
                entry.type = tarfile.SYMTYPE
                entry.linkname = "/etc/hostname"
            archive.addfile(entry, io.BytesIO(content))


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def publish(monkeypatch: pytest.MonkeyPatch, name: str, file: Path, **facts: str) -> None:
    """Let a data set be fetched from a file."""
    changed = replace(DATA_SETS[name], url=file.as_uri(), **facts)
    monkeypatch.setitem(DATA_SETS, name, changed)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lists of HCI come from, known by the digests of `LISTS`."""
    served = tmp_path / "served"
    served.mkdir()
    lines = []
    for name, content in LISTS.items():
        (served / "list").write_bytes(content)
        lines.append(f"{sha256_of(served / 'list')}  {name}\n")
    (served / "official_lists.sha256").write_text("".join(lines))
    monkeypatch.setattr(check, "DIGESTS", served)
    publish(monkeypatch, "hci", served / "a.tar.gz")
    return served / "a.tar.gz"


def test_lists_are_recognised_by_their_digests(archive: Path, tmp_path: Path) -> None:
    """Wherever the archive has them; nothing else is taken, and nothing leaves the folder."""
    pack(archive, LISTS | {"../../../escape.txt": b"x", "weights.bin": bytes(2**21)})
    root = tmp_path / "new" / "lists"
    root.mkdir(parents=True)
    assert download("hci", root) == root
    assert contents(root) == LISTS
    assert [path.name for path in root.parent.iterdir()] == ["lists"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "served"]

    with pytest.raises(InputError, match="lists already holds something; name a new folder"):
        download("hci", root)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("changed", r"1 files are missing or changed, such as hci/1930s\.txt"),
        ("linked", "1 files are missing"),
        ("half", "cannot be fetched"),
        ("nowhere", "cannot be fetched"),
    ],
)
def test_an_archive_that_is_not_the_published_one_leaves_nothing(
    archive: Path, tmp_path: Path, fault: str, sentence: str
) -> None:
    """A list changed, a link in place of one, a file cut off, none at all."""
    if fault == "changed":
        pack(archive, LISTS | {"hci/1930s.txt": b"a.jpg 1940s\n"})
    elif fault != "nowhere":
        pack(archive, LISTS, link="hci/1930s.txt")
    if fault == "half":
        archive.write_bytes(archive.read_bytes()[:150])

    with pytest.raises(InputError, match=sentence) as caught:
        download("hci", tmp_path / "lists")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_one_file_is_compared_with_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other arrays under the name of RetinaMNIST leave not even a folder."""
    arrays = tmp_path / "a.npz"
    arrays.write_bytes(b"six arrays")
    publish(monkeypatch, "retinamnist", arrays)
    with pytest.raises(InputError, match="cannot be fetched"):
        download("retinamnist", tmp_path / "eyes")
    assert not (tmp_path / "eyes").exists()

    publish(monkeypatch, "retinamnist", arrays, sha256=sha256_of(arrays))
    root = download("retinamnist", tmp_path / "a new folder" / "eyes")
    assert contents(root) == {"retinamnist.npz": b"six arrays"}


def test_the_digests_are_those_of_the_real_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """46 lists and their licence, 1,685 leaves and two tables, an archive of arrays."""
    for name, folder in (("adience", "datalists"), ("bracol", "bracol_severity")):
        files = contents(real_folder(folder))
        pack(tmp_path / "files.tar.gz", files)
        publish(monkeypatch, name, tmp_path / "files.tar.gz")
        fetched = contents(download(name, tmp_path / name))
        assert fetched == {path: files.get(path, fetched[path]) for path in fetched}
        assert len(fetched) == {"adience": 47, "bracol": 1687}[name]

    publish(monkeypatch, "retinamnist", real_folder("retinamnist") / "retinamnist.npz")
    assert len(contents(download("retinamnist", tmp_path / "eyes"))) == 1
