"""Reading pictures: each kind shows its colours; what is broken, too large or no picture is refused with its row."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path

import numpy as np
import picture_files
import pytest
from PIL import Image

from l2rclip_lite.data import pictures
from l2rclip_lite.data.pictures import MAX_PIXELS, read_image
from l2rclip_lite.errors import InputError

KINDS, NO_PICTURES = picture_files.kinds(), picture_files.strangers()


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_each_kind_shows_its_colours(tmp_path: Path, name: str) -> None:
    """CMYK, 16 bits, palettes, eight orientations, several frames: the four quadrants, upright and on white."""
    kind, file = KINDS[name], tmp_path / "any.jpg"
    file.write_bytes(kind.data)
    picture = read_image(file, "row 1")
    assert (picture.mode, picture.size) == ("RGB", kind.size)
    width, height = kind.size
    seen = [picture.getpixel((int(x * width), int(y * height))) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    assert np.abs(np.subtract(seen, kind.colours)).max() <= kind.exact


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_refused_with_its_row(tmp_path: Path, name: str) -> None:
    """One sentence; Pillow would read some of them by readers nobody needs here, or start Ghostscript."""
    (tmp_path / "leaf.jpg").write_bytes(NO_PICTURES[name])
    with pytest.raises(InputError, match=r"^labels.csv row 7: the image .*leaf.jpg .*\.$"):
        read_image(tmp_path / "leaf.jpg", "labels.csv row 7")


def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    """Never filled up with grey."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (tmp_path / "leaf.jpg").write_bytes(picture_files.encoded(Image.fromarray(noise), "JPEG")[:1500])
    with pytest.raises(
        InputError, match=r"^row 7: the image .*leaf.jpg cannot be decoded \(.*remove the row"
    ):
        read_image(tmp_path / "leaf.jpg", "row 7")


def test_the_limit_is_ours_and_comes_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """89 megapixels, whatever Pillow's own limit is; here of a file that really holds 900."""
    (tmp_path / "bomb.png").write_bytes(picture_files.bombs()["png-that-holds-much"])
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for limit in (None, 1000, Image.MAX_IMAGE_PIXELS):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(InputError, match=r"bomb.png has more than 89 megapixels; save it smaller\.$"):
            read_image(tmp_path / "bomb.png", "row 1")
    assert MAX_PIXELS == 89_000_000


SLOW = {
    "jpeg-of-many-scans": "is a JPEG of 2009 scans, more than 40; save it anew",
    "jpeg-of-many-exifs": "has EXIF data in more than 40 parts; save it without",
    "gif-of-many-comments": "is a GIF of more than 8 MB; save its first frame as PNG",
}


def test_what_would_take_minutes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over all pixels 2,009 times, comments that are joined one by one; 16 GiB of nothing need no disk."""
    bombs = picture_files.bombs()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for name, sentence in SLOW.items():
        (tmp_path / "slow.jpg").write_bytes(bombs[name])
        with pytest.raises(InputError, match=sentence):
            read_image(tmp_path / "slow.jpg", "row 1")
    with (tmp_path / "hole.webp").open("wb") as sparse:
        sparse.truncate(2**34)
    with pytest.raises(InputError, match="has more than 712 MB; save it smaller"):
        read_image(tmp_path / "hole.webp", "row 1")


def test_a_large_photograph_is_none_of_them(tmp_path: Path) -> None:
    """Twelve megabytes of noise, with EXIF data."""
    noise = np.random.default_rng(0).integers(0, 256, (2400, 3200, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "large.jpg").write_bytes(
        picture_files.encoded(Image.fromarray(noise), "JPEG", quality=95, subsampling=0, exif=exif)
    )
    assert (tmp_path / "large.jpg").stat().st_size > pictures.QUICK
    assert read_image(tmp_path / "large.jpg", "row 1").size == (2400, 3200)


def test_pipes_folders_and_links_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes into that pipe, and a device never ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "sealed").touch()
    for name in ("pipe", "device", "."):
        with pytest.raises(InputError, match=r"is a folder, a pipe or a device; give a picture file\.$"):
            read_image(tmp_path / name, "row 1")
    for name, reason in {"ring": "symbolic links", "x" * 5000: "name too long"}.items():
        with pytest.raises(InputError, match=rf"cannot be read \(.*{reason}"):
            read_image(tmp_path / name, "row 1")

    def sealed(path: object, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pictures, "open", sealed, raising=False)
    with pytest.raises(InputError, match=r"sealed cannot be read \(Permission denied\); mend that or remove"):
        read_image(tmp_path / "sealed", "row 1")


def test_a_sentence_stays_one_whatever_the_name(tmp_path: Path) -> None:
    """Line ends, colours for the terminal, half a character, no end at all; such a picture itself is read."""
    for name in ("two\nlines", "\x1b[31mred", "half \udc80", "x" * 1000):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name, "row 1")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500
        if len(name) < 200:
            (tmp_path / name).write_bytes(KINDS["png"].data)
            assert read_image(tmp_path / name, "row 1").size == KINDS["png"].size


def test_what_pillow_warns_of_is_kept_quiet_in_its_thread_only(tmp_path: Path) -> None:
    """A TIFF with a tag too many is read; meanwhile another thread's warning is heard, and Pillow's own elsewhere."""
    tags = {305: (2, 2**20, 8)}  # a text longer than the file
    data = picture_files.tiff(picture_files.pixels(picture_files.QUADRANTS, np.uint16), tags)
    (tmp_path / "odd.tif").write_bytes(data)
    reading, heard = threading.Event(), threading.Event()

    def read() -> None:
        with pictures._quiet_pillow():
            reading.set()
            heard.wait(10)

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        read_image(tmp_path / "odd.tif", "row 1")
        assert not found
        thread = threading.Thread(target=read)
        thread.start()
        reading.wait(10)
        warnings.warn_explicit("of Pillow", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")
        heard.set()
        thread.join()
        with Image.open(tmp_path / "odd.tif") as opened:
            opened.load()
    assert str(found[0].message) == "of Pillow"
    assert len(found) > 1, "the file is none that Pillow warns of"
