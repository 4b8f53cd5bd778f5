"""The loaders of the published data sets: their split lists, and the images that these name.

What they read is declared in `benchmarks.toml`.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from l2rclip_lite.data.base import SPLITS, OrdinalDataset, Split
from l2rclip_lite.data.benchmarks import DATA_SETS, Protocol
from l2rclip_lite.data.official_lists import find_images, read_lists
from l2rclip_lite.data.official_splits import parts_of
from l2rclip_lite.data.options import Seed, validated
from l2rclip_lite.data.splits import draw_validation
from l2rclip_lite.data.table import as_dataset, keep_present
from l2rclip_lite.errors import InputError


@validated
def load_benchmark(  # noqa: PLR0913  (an entry point)
    name: str,
    root: str | Path | None = None,
    lists: str | Path | None = None,
    category: str | None = None,
    protocol: str | None = None,
    fold: int | None = None,
    seed: Seed = 0,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Return a benchmark with published labels.

    Where they hold no validation part, about a tenth of training becomes it.

    Protocols: github.com/changsukim-ku/order-learning, github.com/nhshin-mcl/MWR (MORPH, CLAP2015),
    Ord2Seq (HCI, and five folds of aesthetics); the lists are those of
    github.com/raywang335/L2RCLIP, commit 168fd4b. BRACOL's five folds are those of its authors.

    Args:
        name: A key of `DATA_SETS` with published lists, such as "bracol" or "morph".
        root: A folder that holds the images, anywhere below it; None gives counts, but no image.
        lists: The folder of the official lists; None takes `root/datalists`,
            or `root` where the labels lie beside the images.
        category: Of aesthetics: "animals", "nature", "people" or "urban".
        protocol: One of the benchmark's; None takes the first.
        fold: One of the protocol's; None takes the first.
        seed: Decides what becomes validation, and every draw of HCI, of five-fold aesthetics and of
            new folds.
        allow_missing: Go on without listed images that are not there.

    Returns:
        Three splits, with the subject or the deviation of each image where the lists have them.

    Raises:
        InputError: An unknown protocol or fold, a list or an image that is missing, a bad row.

    Example:
        >>> load_benchmark("morph", protocol="C")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: morph: protocol must be one of rs-partial, three-fold,
        random, subject-exclusive, not 'C'.
    """
    facts = DATA_SETS[name]
    category = _choice(name, "category", category, facts.categories)
    protocol = _choice(name, "protocol", protocol, [each for each in facts.protocols if each])
    published = facts.protocols[protocol or ""]
    fold = _choice(name, "fold", fold, published.folds)

    files = _list_files(name, published, root, lists, category, fold)
    table = read_lists(files, facts)
    table["split"] = parts_of(table, published, protocol, fold or 0, seed)
    table = table[table["split"] != ""].reset_index(drop=True)

    # a tenth of the published training part: the official lists hold no validation
    subjects = table["subject"].to_numpy() if published.by_subject else None
    validation = draw_validation(table, 0.1, seed, subjects)

    if root is None:
        table["file"] = table["path"]
        table["where"] = f"{name}: pass root=..., the folder of the images"  # if one is asked for
    else:
        table["file"] = find_images(root, table["path"].tolist())
    present, missing, messages = keep_present(table, name, root or "", allow_missing)

    title = " ".join(word for word in (name, category, protocol) if word)
    if fold is not None:
        title += f", fold {fold}"
    return as_dataset(
        facts.card,
        facts.ranks,
        present,
        protocol=[f"{title}: {published.summary}{validation}; seed {seed}", *messages],
        missing=missing,
        upright=facts.upright,
        allow_empty_ranks=True,
    )


def _list_files(
    name: str,
    protocol: Protocol,
    root: str | Path | None,
    lists: str | Path | None,
    category: str | None,
    fold: int | None,
) -> list[Path]:
    """Return the list files of a protocol.

    Raises:
        InputError: The first of them is not there.
    """
    facts = DATA_SETS[name]
    if lists is not None:
        folder = Path(lists)
    elif facts.lists:
        folder = Path(root or "") / "datalists"
    else:
        folder = Path(root or "")
    if os.path.isdir(folder / facts.lists):
        folder = folder / facts.lists

    files = [folder / file.format(category=category, fold=fold) for file in protocol.files]
    if (root is None and lists is None) or not os.path.isfile(files[0]):
        option = "lists=... (--lists DIR)" if facts.lists else "root=... (--root DIR)"
        hint = f"`l2rclip data {name}` says what it is"
        if facts.original:
            hint = f"`python tools/owners_labels.py {name}` makes it"
        elif facts.url:
            hint = f"`l2rclip data --download DIR {name}` makes it"
        raise InputError(f"{name}: there is no {files[0]}; pass {option}; {hint}.")
    return files


def _choice(name: str, option: str, value: Any, choices: Sequence[Any]) -> Any:
    """Return the value if it is one of the choices, the first of them for None."""
    if value is None:
        return choices[0] if choices else None

    if value not in choices:
        problem = "is nothing to choose here"
        if choices:
            problem = f"must be one of {', '.join(map(str, choices))}"
        raise InputError(f"{name}: {option} {problem}, not {value!r}.")
    return value


@validated
def load_retinamnist(root: str | Path = "retinamnist") -> OrdinalDataset:
    """Return fundus photographs with grades of diabetic retinopathy, 0 to 4.

    The split is the one that MedMNIST publishes. The npz is read here: the package medmnist would
    bring more packages than it saves lines.

    Images of 28 pixels suggest an input of 112: nothing is gained by enlarging them further. A
    logistic regression on frozen features of `mini`, in five folds of train + val, has accuracy
    0.534 and MAE 0.818 at 112 pixels, 0.507 and 0.887 at 224, for four times the work.

    Args:
        root: A folder with `retinamnist.npz`, or that file.

    Returns:
        1,080 training, 120 validation and 400 test images.

    Raises:
        InputError: No root, no such file there, or a file that is not the published one.

    Example:
        >>> load_retinamnist("nowhere.npz")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: nowhere.npz: [Errno 2] No such file or directory:
        'nowhere.npz'; get it by `l2rclip data retinamnist --download DIR`.
    """
    facts = DATA_SETS["retinamnist"]
    file = Path(root)
    if os.path.isdir(root):
        file = file / "retinamnist.npz"

    splits: dict[str, Split] = {}
    try:
        if hashlib.sha256(file.read_bytes()).hexdigest() != facts.sha256:
            raise ValueError("it is not the published file of 28 pixels")
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            for split in SPLITS:
                images = [Image.fromarray(image) for image in archive[f"{split}_images"]]
                labels = archive[f"{split}_labels"][:, 0].tolist()
                paths = [f"{split}/{row:04d}" for row in range(len(labels))]
                splits[split] = Split(paths, labels, images)
    except Exception as error:  # on broken bytes, zip and NumPy raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{file}: {reason}; get it by `l2rclip data retinamnist --download DIR`."
        ) from error

    return OrdinalDataset(
        "retinamnist",
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        ranks=facts.ranks,
        card=facts.card,
        image_size=112,
        protocol=("the published split, images of 28 pixels",),
    )
