"""Your own pictures: a folder and a CSV file `path,label[,split]`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from l2rclip_lite.data.base import SPLITS, Card, OrdinalDataset, stratified
from l2rclip_lite.data.benchmarks import whole_seed
from l2rclip_lite.data.files import Folder, Row, read_table, refuse_repeats
from l2rclip_lite.data.listed import dataset_of_rows
from l2rclip_lite.errors import InputError
from l2rclip_lite.ranks import Ranks


def load_csv(
    root: str | Path | None = None,
    labels: str | Path = "labels.csv",
    ranks: str | tuple[str, ...] | list[str] | None = None,
    template: str = "a photo of a {rank} object",
    seed: int = 0,
    allow_empty_ranks: bool = False,
    allow_missing: bool = False,
) -> OrdinalDataset:
    """Anybody's pictures, graded in a CSV file.

    The file has a header and the columns `path` (relative to `root`), `label` (the name or the index of a
    rank, lowest first from 0; a text that is both counts as the name) and optionally `split` (train, val,
    test). Without `split` it is cut 70/15/15 within every rank.

    Args:
        root: The folder the paths start from.
        labels: The CSV file: absolute, or relative to `root`.
        ranks: The names of the ranks, lowest first, as a tuple or as "fresh,ripe,overripe".
        template: A sentence with exactly one `{rank}`.
        seed: Decides the split where the file does not.
        allow_empty_ranks: Whether a rank may have no training image.
        allow_missing: Whether to go on without the listed pictures that are not there.

    Returns:
        Three splits in the order of the file.

    Raises:
        InputError: Anything that cannot be used, with the file, the row and the fix.

    Example:
        >>> load_csv(root="bananas")
        Traceback (most recent call last):
        l2rclip_lite.errors.InputError: csv: name the ranks, lowest first: ranks="fresh,ripe,overripe".
    """
    if root is None:
        raise InputError("csv: pass root=..., the folder that holds the images.")
    if ranks is None:
        raise InputError('csv: name the ranks, lowest first: ranks="fresh,ripe,overripe".')
    whole_seed("csv", seed)
    names = tuple(name.strip() for name in (ranks.split(",") if isinstance(ranks, str) else ranks))
    label_space = Ranks(names, tuple(float(rank) for rank in range(len(names))), template)
    folder = Folder(root)
    file = folder.root / labels  # an absolute `labels` wins
    table = read_table(file, ("path", "label"))
    rows = [_row(cells, where, folder, names) for cells, where in table]
    refuse_repeats(rows)
    notes = "split by the labels file"
    if "split" not in table[0][0]:
        rows = _with_split(rows, file, names, seed)
        notes = f"split 70/15/15 within every rank, seed {seed}"
    card = Card(
        "csv", f"{len(rows)} images of {file.name}", str(file), "unknown", "none", f"{notes.capitalize()}."
    )
    return dataset_of_rows(
        "csv",
        rows,
        folder.root,
        label_space,
        card,
        allow_missing=allow_missing,
        allow_empty_ranks=allow_empty_ranks,
        upright=True,
        protocol=(notes,),
    )


def _row(cells: dict[str, str], where: str, folder: Folder, names: tuple[str, ...]) -> Row:
    """One checked line; a missing split stays empty."""
    label = cells["label"]
    if label in names:
        target = names.index(label)
    elif label.isdecimal() and len(label) < 10 and int(label) < len(names):
        target = int(label)
    else:
        raise InputError(
            f"{where}: the label {label!r} is no rank; write one of {', '.join(names)}, or an index "
            f"from 0 to {len(names) - 1}."
        )
    split = cells.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"{where}: the split {split!r} is none of {', '.join(SPLITS)}; correct it.")
    return Row(cells["path"], folder.file(cells["path"], where), target, split or "", where)


def _with_split(rows: list[Row], file: Path, names: tuple[str, ...], seed: int) -> list[Row]:
    """The rows with a seeded 70/15/15 split."""
    targets = [row.target for row in rows]
    for rank, count in sorted(Counter(targets).items()):
        if count < 3:
            raise InputError(
                f"{file}: rank {names[rank]!r} has {count} image(s), too few for three splits; "
                "add images (three at least) or a split column."
            )
    return [row._replace(split=part) for row, part in zip(rows, stratified(targets, seed), strict=True)]
