"""Weights and tokenizers of the Hugging Face hub.

What this machine has already is used without asking any network. The rest is downloaded only where
the caller allows it, and never as a pickle.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name

from l2rclip_lite.errors import InputError
from l2rclip_lite.files import write_text

COMMIT = re.compile(r"[0-9a-f]{40}")
RECORD = ".cache/huggingface/download"  # where the hub's client notes the commit of a file


class NotAllowedError(InputError):
    """Something that a file asks for, and that its reader has to allow first."""


def download(repository: str, name: str, revision: str | None = None) -> Path:
    """Download a file into the cache of the hub's client, and return it there.

    The client itself names a file of its cache after what the server calls its ETag, which may lead
    anywhere. So it downloads into a folder of its own, where such a name leads nowhere.

    Args:
        repository: `USER/NAME`.
        name: The file in it.
        revision: A commit, a tag or a branch; None is the main branch.

    Returns:
        The file of that revision; the one that is in the cache, where the hub cannot be reached or
        the cache cannot be written.

    Raises:
        LocalEntryNotFoundError: The hub cannot be reached, and the file is not in the cache.
        OSError, ValueError, EntryNotFoundError: There is no such file, or no name that a cache has.
        InputError: A cache that cannot be written.
    """
    try:
        return _download(repository, name, revision)
    except HfHubHTTPError:  # what the hub itself answers
        raise
    except (OSError, InputError):
        cached = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        raise


def _download(repository: str, name: str, revision: str | None) -> Path:
    """Download a file, and put it where the hub's client looks for it."""
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)

    with TemporaryDirectory(dir=cache) as folder:
        try:
            file = hf_hub_download(repository, name, revision=revision, local_dir=folder)
        except (OSError, ValueError, EntryNotFoundError):
            raise
        except Exception as error:  # of the HTTP library, which the client passes on
            raise OSError(f"{type(error).__name__}: {error}") from error
        commit = Path(folder, RECORD, f"{name}.metadata").read_text(encoding="utf-8").split()[0]
        if not COMMIT.fullmatch(commit):
            raise ValueError(f"the hub names {commit[:60]!r} as a commit")

        kept = cache / repo_folder_name(repo_id=repository, repo_type="model")
        snapshot = kept / "snapshots" / commit / name
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, snapshot)

    if revision is None or not COMMIT.fullmatch(revision):
        write_text(kept / "refs" / (revision or "main"), commit)
    return snapshot


class HubFiles:
    """Files of repositories on the hub, each repository at one commit.

    Args:
        allow_download: Whether a file that is not on this machine may be downloaded.
        commits: By repository, the commit that is wanted; a repository that is not in it is taken
            as its main branch was when this machine fetched it, or is now where it has not.
            Whatever is fetched is added, so that the next reader can ask for the same commit.

    Raises:
        InputError: A commit that is none: a branch or a tag can change later.
    """

    def __init__(
        self, *, allow_download: bool = True, commits: Mapping[str, str] | None = None
    ) -> None:
        self.allow_download = allow_download
        self.commits = dict(commits or {})

        for repository, commit in self.commits.items():
            if not COMMIT.fullmatch(commit):
                raise InputError(
                    f"towers: {commit[:60]!r} is no commit of {repository!r}; give its 40 digits."
                )

    def fetch(self, repository: str, name: str, purpose: str) -> Path:
        """Return a file from this machine's cache, or download it.

        Args:
            repository: Such as `timm/ViT-B-16-SigLIP`.
            name: The file in it.
            purpose: What it is, for the sentence to the user.

        Raises:
            NotAllowedError: It is not on this machine, and may not be downloaded.
            OSError, ValueError, EntryNotFoundError: The download failed, or there is no such file.
        """
        cached = try_to_load_from_cache(repository, name, revision=self.commits.get(repository))

        if isinstance(cached, str):
            file = Path(cached)
        elif self.allow_download:
            file = download(repository, name, self.commits.get(repository))
        else:
            raise NotAllowedError(
                f"{purpose} is not on this machine, and would be downloaded from {repository} on "
                "the Hugging Face hub; if you want that, allow it by allow_download=True, or "
                "--allow-download on the command line."
            )

        if COMMIT.fullmatch(file.parent.name):  # of the cache: snapshots/COMMIT/NAME
            self.commits[repository] = file.parent.name
        return file

    def fetch_if_there(self, repository: str, name: str) -> None:
        """Put a file beside others of the same repository, where the repository has it."""
        cached = try_to_load_from_cache(repository, name, revision=self.commits.get(repository))

        if cached is None and self.allow_download:
            try:
                download(repository, name, self.commits.get(repository))
            except EntryNotFoundError:  # it has none, or the hub cannot be reached
                return
