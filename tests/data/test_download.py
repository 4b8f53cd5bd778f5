"""Downloads are whole and right, or not there at all; a local server has the archives."""

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

# torch.hub leaves sockets open
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LISTS = {
    "LICENSE": b"MIT",
    "hci/1930s.txt": b"a.jpg 1930s\n",
    "morph/settingA/1.txt": b"b.jpg 20\r\n",
}


class Quiet(SimpleHTTPRequestHandler):
    """A server that prints no log."""

    def log_message(self, format: str, *args: object) -> None:
        """Drop the line."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a folder, and the address at which its files are."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def pack(file: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    """Write a repository as GitHub packs it."""
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"name-168fd4b/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(f"name-168fd4b/{name}")
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            archive.addfile(entry)


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def digest(content: bytes) -> str:
    """Return SHA-256."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the digests of `LISTS` for those of the official lists."""
    folder = tmp_path / "digests"
    folder.mkdir()
    lines = [f"{digest(content)}  {name}\n" for name, content in LISTS.items()]
    (folder / "official_lists.sha256").write_text("".join(lines))
    monkeypatch.setattr(module, "DIGESTS", folder)


@pytest.mark.usefixtures("digests")
def test_lists_are_recognised_by_their_digests(served: tuple[Path, str], tmp_path: Path) -> None:
    """Wherever the archive has them; nothing else is taken, and nothing leaves the folder."""
    folder, url = served
    moved = {f"datalist/{name}": content for name, content in LISTS.items()}
    others = {"../../escape.txt": b"x", "weights.bin": bytes(3 * 2**20)}
    pack(folder / "a.tar.gz", moved | others)

    root = tmp_path / "new" / "lists"
    assert download("morph", root, url=f"{url}a.tar.gz") == root
    assert contents(root) == LISTS
    assert [path.name for path in root.parent.iterdir()] == ["lists"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digests", "new", "served"]


def test_a_folder_that_holds_something_is_left_alone(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    """A download never mixes with what is there."""
    root = tmp_path / "lists"
    root.mkdir()
    (root / "mine.txt").touch()
    with pytest.raises(InputError, match="lists already holds something"):
        download("morph", root, url=f"{served[1]}a.tar.gz")


@pytest.mark.usefixtures("digests")
@pytest.mark.parametrize(
    ("archive", "sentence"),
    [
        ("changed", "1 files are missing or changed, such as hci/1930s.txt"),
        ("linked", "2 files are missing"),
        ("half", "cannot be fetched"),
        ("text", "cannot be fetched"),
        ("nowhere", "cannot be fetched"),
    ],
)
def test_an_archive_that_is_not_the_published_one_leaves_nothing(
    served: tuple[Path, str], tmp_path: Path, archive: str, sentence: str
) -> None:
    """A list changed, a link in place of one, a file cut off, another file, none at all."""
    folder, url = served
    pack(folder / "changed.tar.gz", LISTS | {"hci/1930s.txt": b"a.jpg 1940s\n"})
    pack(folder / "linked.tar.gz", {"LICENSE": b"MIT"}, {"hci/1930s.txt": "/etc/hostname"})
    (folder / "half.tar.gz").write_bytes((folder / "changed.tar.gz").read_bytes()[:150])
    (folder / "text.tar.gz").write_bytes(b"<html>not an archive</html>" * 100)

    with pytest.raises(InputError, match=sentence) as caught:
        download("hci", tmp_path / "lists", url=f"{url}{archive}.tar.gz")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digests", "served"]


def test_one_file_is_compared_with_its_digest(served: tuple[Path, str], tmp_path: Path) -> None:
    """Other arrays under the name of RetinaMNIST leave not even a folder."""
    folder, url = served
    (folder / "a.npz").write_bytes(b"six arrays")
    with pytest.raises(InputError, match="cannot be fetched"):
        download("retinamnist", tmp_path / "eyes", url=f"{url}a.npz")
    assert not (tmp_path / "eyes").exists()


def test_one_file_lands_in_an_empty_folder(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name that the loader looks for."""
    folder, url = served
    (folder / "a.npz").write_bytes(b"six arrays")
    facts = replace(DATA_SETS["retinamnist"], sha256=digest(b"six arrays"))
    monkeypatch.setitem(DATA_SETS, "retinamnist", facts)
    (tmp_path / "eyes").mkdir()

    root = download("retinamnist", tmp_path / "eyes", url=f"{url}a.npz")
    assert contents(root) == {"retinamnist.npz": b"six arrays"}


@pytest.mark.parametrize("name", ["csv", "hc18", "portraits"])
def test_what_nobody_publishes_in_one_file_cannot_be_downloaded(tmp_path: Path, name: str) -> None:
    """The sentence says where to read on."""
    sentence = f"{name}: nothing to download; `l2rclip data {name}` says"
    with pytest.raises(InputError, match=sentence):
        download(name, tmp_path / "new")


def test_the_digests_are_those_of_the_real_lists(
    served: tuple[Path, str], official: Path, tmp_path: Path
) -> None:
    """46 lists and their licence, packed as published, come out byte for byte."""
    folder, url = served
    lists = contents(official)
    pack(folder / "lists.tar.gz", {f"datalist/{name}": content for name, content in lists.items()})
    assert contents(download("adience", tmp_path / "lists", url=f"{url}lists.tar.gz")) == lists


def test_the_digest_is_that_of_the_real_arrays(
    served: tuple[Path, str], real_retinamnist: Path, tmp_path: Path
) -> None:
    """The published file of RetinaMNIST."""
    folder, url = served
    arrays = (real_retinamnist / "retinamnist.npz").read_bytes()
    (folder / "eyes.npz").write_bytes(arrays)
    root = download("retinamnist", tmp_path / "eyes", url=f"{url}eyes.npz")
    assert contents(root) == {"retinamnist.npz": arrays}


def test_the_digests_are_those_of_the_real_leaves(
    served: tuple[Path, str], real_bracol: Path, tmp_path: Path
) -> None:
    """1,685 leaves and two tables."""
    folder, url = served
    pack(folder / "leaves.tar.gz", contents(real_bracol))
    root = download("bracol", tmp_path / "bracol", url=f"{url}leaves.tar.gz")
    assert len(contents(root)) == 1687
