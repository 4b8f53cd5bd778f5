"""Weights and tokenizers of the Hugging Face hub.

What this machine has already is used without asking any network. The rest is downloaded only where
the caller allows it, and never as a pickle.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import hf_hub_download, try_to_load_from_cache

from l2rclip_lite.errors import NotAllowedError

COMMIT = re.compile(r"[0-9a-f]{40}")


def download(repository: str, name: str, revision: str | None = None) -> Path:
    """Return a file of `USER/NAME` at a commit, tag or branch, in the cache of the hub's client.

    Raises:
        LocalEntryNotFoundError: The hub cannot be reached, and the file is not in the cache.
        Exception: Of the client, or of the library by which it asks: there is no such file.
    """
    return Path(hf_hub_download(repository, name, revision=revision))


class HubFiles:
    """Files of repositories on the hub, each repository at one commit.

    Args:
        allow_download: Whether a file that is not on this machine may be downloaded.
        commits: By repository, the commit that is wanted; a repository that is not in it is taken
            as its main branch was when this machine fetched it, or is now where it has not.
            Whatever is fetched is added, so that the next reader can ask for the same commit.
    """

    def __init__(
        self, *, allow_download: bool = True, commits: Mapping[str, str] | None = None
    ) -> None:
        self.allow_download = allow_download
        self.commits = dict(commits or {})

    def fetch(self, repository: str, name: str, purpose: str) -> Path:
        """Return a file from this machine's cache, or download it.

        Args:
            repository: Such as `timm/ViT-B-16-SigLIP`.
            name: The file in it.
            purpose: What it is, for the sentence to the user.

        Raises:
            NotAllowedError: It is not on this machine, and may not be downloaded.
            Exception: See `download`.
        """
        commit = self.commits.get(repository)
        cached = try_to_load_from_cache(repository, name, revision=commit)

        if isinstance(cached, str):
            file = Path(cached)
        elif self.allow_download:
            file = download(repository, name, commit)
        else:
            raise NotAllowedError(
                f"{purpose} is not on this machine, and would be downloaded from {repository} on "
                "the Hugging Face hub; if you want that, allow it by allow_download=True, or "
                "--allow-download on the command line."
            )

        if COMMIT.fullmatch(file.parent.name):  # of the cache: snapshots/COMMIT/NAME
            self.commits[repository] = file.parent.name
        return file
