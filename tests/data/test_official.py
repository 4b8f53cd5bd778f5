"""The official lists: known by their digests, wherever the archive has them; all of them or nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import real_data
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite.data import official
from l2rclip_lite.data.official import download_official_lists, official_digests
from l2rclip_lite.errors import InputError

FILES = {"LICENSE": b"MIT", "hci/1930s.txt": b"a.jpg 1930s\n", "morph/settingA/1.txt": b"b.jpg 20\r\n"}


def archive(file: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> str:
    """A repository as GitHub packs it."""
    with tarfile.open(file, "w:gz") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"L2RCLIP-168fd4b/{name}")
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(f"L2RCLIP-168fd4b/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            opened.addfile(entry)
    return file.as_uri()


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files take the place of the 47."""
    digests = tmp_path / "lists.sha256"
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in FILES.items()]
    digests.write_text("".join(lines))
    monkeypatch.setattr(official, "DIGESTS", digests)
    return tmp_path


def test_lists_land_where_they_belong(small: Path) -> None:
    """The folders of the archive do not matter, other files of it stay there."""
    packed = {"LICENSE": FILES["LICENSE"], "datalist/hci/1930s.txt": FILES["hci/1930s.txt"]}
    packed |= {"other/Setting_1.txt": FILES["morph/settingA/1.txt"], "README.md": b"read me"}
    packed |= {"weights.bin": bytes(3 * 2**20), "../../escape.txt": b"x"}
    url = archive(small / "a.tar.gz", packed)
    root = small / "new" / "lists"
    assert download_official_lists(root, url=url) == root
    assert contents(root) == FILES
    assert [path.name for path in root.parent.iterdir()] == ["lists"]
    with pytest.raises(InputError, match="lists already holds something"):
        download_official_lists(root, url=url)


def test_nothing_appears_unless_all_is_right(small: Path) -> None:
    """A changed list, a link in the place of a list, half an archive, none, no archive at all."""
    changed = FILES | {"hci/1930s.txt": b"a.jpg 1940s\n"}
    kept = {name: content for name, content in FILES.items() if name != "hci/1930s.txt"}
    for url in (
        archive(small / "changed.tar.gz", changed),
        archive(small / "linked.tar.gz", kept, {"hci/1930s.txt": "/etc/hostname"}),
    ):
        with pytest.raises(
            InputError, match=r"holds no hci/1930s.txt with the SHA-256 .* \(1 of 3 files are"
        ):
            download_official_lists(small / "lists", url=url)
    (small / "half.tar.gz").write_bytes((small / "changed.tar.gz").read_bytes()[:150])
    (small / "text.tar.gz").write_bytes(b"<html>not an archive</html>" * 100)
    for name in ("half", "text", "nowhere"):
        with pytest.raises(InputError, match=rf"official lists: .*{name}.tar.gz cannot be fetched \("):
            download_official_lists(small / "lists", url=(small / f"{name}.tar.gz").as_uri())
    (small / "file").touch()
    with pytest.raises(InputError, match=r"file/lists cannot be written \((Not a directory|File exists)\)"):
        download_official_lists(small / "file" / "lists", url=archive(small / "right.tar.gz", FILES))
    assert not [path for path in small.iterdir() if path.is_dir()]


@given(st.permutations(sorted(FILES)), st.sets(st.sampled_from(sorted(FILES))))
def test_any_order_is_fine_and_any_gap_is_not(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], gone: set[str]
) -> None:
    """Whichever file is missing first in the alphabet is named."""
    folder = tmp_path_factory.mktemp("official")
    digests = folder / "lists.sha256"
    digests.write_text(
        "".join(f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES))
    )
    url = archive(folder / "a.tar.gz", {name: FILES[name] for name in order if name not in gone})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "DIGESTS", digests)
        if gone:
            with pytest.raises(InputError, match=f"holds no {min(gone)} .*{len(gone)} of 3"):
                download_official_lists(folder / "lists", url=url)
        else:
            assert contents(download_official_lists(folder / "lists", url=url)) == FILES


def test_the_digests_are_those_of_the_real_lists(tmp_path: Path) -> None:
    """All 46 lists and the licence, packed as the repository packs them, come out byte for byte."""
    folder = real_data.folder_of("datalists")
    if folder is None:
        pytest.skip(real_data.missing("datalists"))
    real = contents(folder)
    assert sorted(real) == sorted(official_digests())
    url = archive(tmp_path / "a.tar.gz", {f"datalist/{name}": content for name, content in real.items()})
    assert contents(download_official_lists(tmp_path / "lists", url=url)) == real
