"""The official split lists of L2RCLIP, fetched at one commit and checked byte by byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

from l2rclip_lite.data.fetch import Members, fetch_archive
from l2rclip_lite.errors import InputError

ARCHIVE = "https://github.com/raywang335/L2RCLIP/archive/168fd4b8bf1ff2c2d66b17430d66c407fd48c35e.tar.gz"
DIGESTS = Path(__file__).with_name("official_lists.sha256")  # as `sha256sum` writes it
_LARGEST = 2**20  # no list is larger; a larger member need not be read


def official_digests() -> dict[str, str]:
    """The SHA-256 of each official list and of the licence they come under.

    Source: computed from the lists of github.com/raywang335/L2RCLIP, commit 168fd4b (MIT).

    Returns:
        {path below the lists' folder: 64 hexadecimal digits}.

    Example:
        >>> digests = official_digests()
        >>> len(digests), digests["clap2015/total_2015.csv"][:8]
        (47, 'a7a4ea24')
    """
    pairs = [line.split("  ", 1) for line in DIGESTS.read_text(encoding="ascii").splitlines()]
    return {path: digest for digest, path in pairs}


def download_official_lists(root: str | Path, *, url: str = ARCHIVE) -> Path:
    """Fetch the official split lists: names and labels of pictures, not the pictures.

    The lists of MORPH II, CLAP2015, Adience, image aesthetics and HCI are published by the authors of L2RCLIP
    under the MIT licence, which is fetched with them. A file is known by its SHA-256 and by nothing else, so
    that wherever it stands in the archive, what lands at `root` is what this project's figures were counted
    on. The only function of this module that uses the network.

    Args:
        root: The folder to make; it must not exist, or be empty.
        url: The repository as a .tar.gz archive.

    Returns:
        `root`, with the folders adience, clap2015, crowdbeauty, hci and morph: what `load_dataset` takes as
        `lists`.

    Raises:
        InputError: `root` is in use, the archive cannot be fetched, or a list is not in it as it should be.

    Example:
        >>> download_official_lists("/")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: official lists: / already holds something; name a folder that does not
        exist yet.
    """
    return fetch_archive("official lists", root, url, _fill)


def _fill(members: Members, folder: Path) -> None:
    """Write each file whose digest is known to where it belongs; all must be there in the end."""
    wanted = {digest: path for path, digest in official_digests().items()}
    for _, content in members:
        data = content.read(_LARGEST + 1)
        path = wanted.pop(hashlib.sha256(data).hexdigest(), None)
        if path is not None:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    if wanted:
        digest, path = min(wanted.items(), key=lambda pair: pair[1])
        raise InputError(
            f"official lists: the archive holds no {path} with the SHA-256 {digest} ({len(wanted)} of "
            f"{len(official_digests())} files are missing or changed); try again, or use the archive of commit "
            "168fd4b."
        )
