"""Downloads are whole and right, or not there at all; the archives come from a server of this machine."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from l2rclip_lite.data import download as module
from l2rclip_lite.data.benchmarks import DATA_SETS
from l2rclip_lite.data.download import download
from l2rclip_lite.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # sockets that torch.hub left open
LISTS = {
    "LICENSE": b"MIT",
    "hci/1930s.txt": b"a.jpg 1930s\n",
    "morph/settingA/1.txt": b"b.jpg 20\r\n",
}


class Quiet(SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which its files are."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def pack(file: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    """A repository as GitHub packs it."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"name-168fd4b/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(f"name-168fd4b/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def digest(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()


def test_lists_land_where_they_belong(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by their digests, wherever the archive has them; a changed, linked or missing list leaves nothing."""
    folder, url = served
    known = "".join(f"{digest(content)}  {name}\n" for name, content in LISTS.items())
    (tmp_path / "official_lists.sha256").write_text(known)
    monkeypatch.setattr(module, "DIGESTS", tmp_path)
    moved = {f"datalist/{name}": content for name, content in LISTS.items()} | {
        "../../escape.txt": b"x"
    }
    pack(folder / "a.tar.gz", moved | {"weights.bin": bytes(3 * 2**20)})
    root = tmp_path / "new" / "lists"
    assert download("morph", root, url=f"{url}a.tar.gz") == root
    assert contents(root) == LISTS
    assert [path.name for path in root.parent.iterdir()] == ["lists"]
    with pytest.raises(InputError, match="lists already holds something"):
        download("morph", root, url=f"{url}a.tar.gz")
    pack(folder / "changed.tar.gz", LISTS | {"hci/1930s.txt": b"a.jpg 1940s\n"})
    pack(folder / "linked.tar.gz", {"LICENSE": b"MIT"}, {"hci/1930s.txt": "/etc/hostname"})
    (folder / "half.tar.gz").write_bytes((folder / "changed.tar.gz").read_bytes()[:150])
    (folder / "text.tar.gz").write_bytes(b"<html>not an archive</html>" * 100)
    for name, sentence in (
        ("changed", "1 files are missing or changed, such as hci/1930s.txt"),
        ("linked", "2 files are missing"),
        ("half", "cannot be fetched"),
        ("text", "cannot be fetched"),
        ("nowhere", "cannot be fetched"),
    ):
        with pytest.raises(InputError, match=sentence) as caught:
            download("hci", tmp_path / "other", url=f"{url}{name}.tar.gz")
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "new",
        "official_lists.sha256",
        "served",
    ]


def test_one_file_is_compared_with_its_digest(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RetinaMNIST, into an empty folder, too; what is generated or yours cannot be downloaded."""
    folder, url = served
    (folder / "a.npz").write_bytes(b"six arrays")
    with pytest.raises(InputError, match="cannot be fetched"):
        download("retinamnist", tmp_path / "eyes", url=f"{url}a.npz")
    assert not (tmp_path / "eyes").exists()
    known = replace(DATA_SETS["retinamnist"], sha256=digest(b"six arrays"))
    monkeypatch.setitem(DATA_SETS, "retinamnist", known)
    (tmp_path / "eyes").mkdir()
    fetched = contents(download("retinamnist", tmp_path / "eyes", url=f"{url}a.npz"))
    assert fetched == {"retinamnist.npz": b"six arrays"}
    for name in ("csv", "hc18"):
        with pytest.raises(
            InputError, match=f"{name}: nothing to download; `l2rclip data {name}` says"
        ):
            download(name, tmp_path / "new")


def test_the_digests_are_those_of_the_real_files(
    served: tuple[Path, str],
    official: Path,
    real_bracol: Path,
    real_retinamnist: Path,
    tmp_path: Path,
) -> None:
    """46 lists and their licence, 1,685 leaves, and the arrays, packed as published, come out byte for byte."""
    folder, url = served
    lists = contents(official)
    pack(folder / "lists.tar.gz", {f"datalist/{name}": content for name, content in lists.items()})
    assert contents(download("adience", tmp_path / "lists", url=f"{url}lists.tar.gz")) == lists
    (folder / "eyes.npz").write_bytes((real_retinamnist / "retinamnist.npz").read_bytes())
    assert download("retinamnist", tmp_path / "eyes", url=f"{url}eyes.npz")
    pack(folder / "leaves.tar.gz", contents(real_bracol))
    assert len(contents(download("bracol", tmp_path / "bracol", url=f"{url}leaves.tar.gz"))) == 1687
