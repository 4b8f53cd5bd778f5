"""L2RCLIP as a scikit-learn estimator, for its cross-validation, pipelines and searches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from l2rclip_lite.config import Config, ImageSide
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.own_images.labels import as_numbers, label_space
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.data.table import first_row
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError, sentence
from l2rclip_lite.heads.calibration import calibrate
from l2rclip_lite.image_side import train_kernel
from l2rclip_lite.method.model import L2RCLIP
from l2rclip_lite.method.ranks import Ranks
from l2rclip_lite.method.stages import stage1, stage2, train_stage1, train_stage2
from l2rclip_lite.training import run_stage
from l2rclip_lite.training_data import TrainingData


# scikit-learn has no annotations
class L2RCLIPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """L2RCLIP with `fit`, `predict`, `predict_proba` and `score`, as scikit-learn has them.

    X holds images: paths, PIL images, or arrays of bytes (height, width, 3). Or X holds features
    that you computed, a row of numbers per image; then only the kernel head is fitted, with the
    bare sentences, and there is no stage 1. A share of X, drawn from every rank, is kept for
    validation: it chooses epochs, head and temperature.

    A fitted estimator refuses to be pickled. Save its model by `model_.save_pretrained`.

    Args:
        ranks: A list of all labels, lowest first, spelt as in y; None takes the numbers of y by
            their value.
        template: A sentence with `{rank}` where the name goes; None takes that of `load_csv`.
        towers: See `Config`, as for all below.
        image_side: See `Config`; 'tower' needs images.
        epochs1: See `Config`.
        epochs2: See `Config`; for a tower only.
        device: See `Config`.
        seed: See `Config`; it also draws the validation part.

    Attributes:
        model_: The `L2RCLIP`, with the ranks in their order and all answers of its `predict`.
        classes_: The labels, sorted as scikit-learn sorts them: names by the alphabet.
            Probabilities have this order.
        order_: The rank index of each class.

    Example:
        >>> X = [[0.1], [0.2], [0.9], [1.0], [1.9], [2.0]]
        >>> y = ["no", "no", "low", "low", "high", "high"]
        >>> grader = L2RCLIPClassifier(["no", "low", "high"], towers="tiny/random").fit(X, y)
        >>> grader.predict([[0.0], [2.1]]).tolist(), grader.classes_.tolist()
        (['no', 'high'], ['high', 'low', 'no'])
    """

    model_: L2RCLIP

    def __init__(  # noqa: PLR0913  (scikit-learn wants its settings here)
        self,
        ranks: Any = None,
        template: str | None = None,
        *,
        towers: str = "mini",
        image_side: ImageSide = "kernel",
        epochs1: int | None = None,
        epochs2: int = 10,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.ranks = ranks
        self.template = template
        self.towers = towers
        self.image_side = image_side
        self.epochs1 = epochs1
        self.epochs2 = epochs2
        self.device = device
        self.seed = seed

    def fit(self, X: Any, y: Any) -> "L2RCLIPClassifier":
        """Train on images or features and their labels.

        Raises:
            InputError: Names without `ranks`, a label that is no rank, too few of them, features
                for a tower, a table of images, or a setting that `Config` refuses.
        """
        if hasattr(self, "model_"):  # it would answer with new labels, should this fit fail
            del self.model_

        images = holds_images(X)
        if images:
            check_consistent_length(X, y)
            X = list(X)
            y = column_or_1d(y)
        else:
            X, y = validate_data(self, X, y, dtype=np.float32, order="C", copy=True)
        check_classification_targets(y)
        ranks, target = self._label_space(y)

        if not images and self.image_side == "tower":
            raise InputError("X: features train no tower; give images, or image_side='kernel'.")
        try:
            config = self._config(images)
        except ValidationError as error:
            raise InputError(sentence(error)) from error
        model = L2RCLIP.build(ranks, config).to(choose_device(config))

        parts = np.array(stratified(target, [self.seed], test=0))
        if "val" not in parts:
            raise InputError(
                "y: no label occurs twice, so none is left for validation; give more images."
            )
        if images:
            data = image_data(X, target, parts, model)
            stage = stage1(model, data)
            run_stage(stage, train_stage1(model, data, stage))
        else:
            data = feature_data(X, target, parts)

        if self.image_side == "kernel":
            train_kernel(model, data)
        else:
            stage = stage2(model, data)
            run_stage(stage, train_stage2(model, data, stage))

        val_features = data.encode(model, "val")
        calibrate(model, val_features, data.targets["val"])
        self.model_ = model
        self.n_features_in_ = val_features.shape[1]
        return self

    def _config(self, images: bool) -> Config:
        """Return the settings of a fit; features are fitted with the bare sentences."""
        config = Config(
            towers=self.towers,
            image_side=self.image_side,
            epochs1=self.epochs1,
            epochs2=self.epochs2,
            device=self.device,  # type: ignore[arg-type]  # Config refuses what is none
            seed=self.seed,
        )
        if images:
            return config
        return replace(config, epochs1=0)

    def _label_space(self, y: np.ndarray) -> tuple[Ranks, np.ndarray]:
        """Return the ranks, and the rank index of each label; set the classes and their order."""
        labels = rank_labels(self.ranks, y)
        where = [f"y[{row}]" for row in range(len(y))]
        table = pd.DataFrame({"label": map(str, y), "where": where})
        check_labels(y, labels, table)
        ranks, _ = label_space(table, labels.tolist(), self.template, "names")

        self.order_ = np.argsort(labels)
        self.classes_ = labels[self.order_]
        return ranks, table["target"].to_numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return a row of probabilities for each image, in the order of `classes_`."""
        check_is_fitted(self, "model_")
        if isinstance(X, Iterator):  # a look at its first item would take that away
            X = list(X)
        if holds_images(X):
            X = self.model_.encode(list(X)).numpy()
        rows = validate_data(self, X, dtype=np.float32, order="C", copy=True, reset=False)
        features = torch.from_numpy(rows)

        shares = self.model_.probabilities(features).double().numpy()[:, self.order_]
        # scorers refuse the 1e-7 of single precision
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each image."""
        best = self.predict_proba(X).argmax(1)  # it raises first if nothing was fitted
        return np.asarray(self.classes_[best])

    def __getstate__(self) -> Any:
        """Return what is pickled, such as for another process: settings, but no model.

        Raises:
            TypeError: It is fitted.
        """
        if hasattr(self, "model_"):
            raise TypeError(
                "a fitted L2RCLIPClassifier is not pickled; call model_.save_pretrained(folder)."
            )
        return super().__getstate__()


def image_data(
    images: Sequence[Any], target: np.ndarray, parts: np.ndarray, model: L2RCLIP
) -> TrainingData:
    """Return what both stages train on.

    Args:
        images: Whatever `images.as_rgb` takes.
        target: Rank index of each.
        parts: "train" or "val" for each.
        model: With its image tower in the starting state.
    """
    resized = {}
    targets = {}
    backbone = {}

    for part in ("train", "val"):
        rows = np.flatnonzero(parts == part).tolist()
        pairs = [(images[row], target[row]) for row in rows]
        resized[part] = ResizedImages(pairs, model.towers.image_size)
        targets[part] = torch.from_numpy(target[rows])
        backbone[part] = model.encode(resized[part], backbone=True)

    return TrainingData.of(backbone, targets, model, resized)


def feature_data(features: np.ndarray, target: np.ndarray, parts: np.ndarray) -> TrainingData:
    """Return what a kernel head is fitted to.

    Args:
        features: One row per image.
        target: Rank index of each.
        parts: "train" or "val" for each.
    """
    targets = {}
    backbone = {}

    for part in ("train", "val"):
        rows = np.flatnonzero(parts == part)
        targets[part] = torch.from_numpy(target[rows])
        backbone[part] = torch.from_numpy(features[rows])

    return TrainingData(features={}, targets=targets, backbone=backbone)


def rank_labels(ranks: Any, y: np.ndarray) -> np.ndarray:
    """Return the labels of all ranks, lowest first, as numbers where y holds numbers, else as text.

    Args:
        ranks: All labels, lowest first; None takes the numbers of y by their value.
        y: The labels of the images.

    Raises:
        InputError: Ranks that are no list, or none where y holds words or one class.

    Example:
        >>> rank_labels(["0", "5"], np.array([5, 0])).tolist()
        [0, 5]
        >>> rank_labels(None, np.array(["10", "9"])).tolist()
        ['9', '10']
    """
    if ranks is None:
        labels = np.unique(y)
        values = as_numbers(labels.astype(str))
        if len(labels) < 2:
            raise InputError(f"y: {labels} is one class; name all by ranks=[...], lowest first.")
        if values.isna().any():
            raise InputError(
                f"y: the labels {labels} have no known order; give it by ranks=[...], lowest first."
            )
        return np.asarray(labels[np.argsort(values)])

    labels = np.asarray(ranks)
    holds_texts = labels.dtype.kind != "O" or all(isinstance(label, str) for label in labels.flat)
    is_finite = labels.dtype.kind != "f" or np.isfinite(labels).all()
    if labels.ndim != 1 or not len(labels) or not holds_texts or not is_finite:
        raise InputError(f"ranks: give a list of labels, lowest first, not {ranks!r:.80}.")

    ranks_are_numbers = labels.dtype.kind in "iuf"
    if y.dtype.kind not in "iuf":  # texts, beside which numbers are written as texts
        return labels.astype(str) if ranks_are_numbers else labels

    values = as_numbers(labels.astype(str))
    if ranks_are_numbers or values.isna().any():
        return labels
    # texts such as "5", beside numbers: read as numbers, of the kind that y has
    are_whole = y.dtype.kind in "iu" and bool((values % 1 == 0).all())
    return values.to_numpy(int if are_whole else float)


def check_labels(y: np.ndarray, labels: np.ndarray, table: pd.DataFrame) -> None:
    """Refuse a label that is none of the ranks, or that is written otherwise than there.

    Args:
        y: The labels of the images.
        labels: The labels of all ranks.
        table: Of each image the `label` as text, and `where` it stands.

    Raises:
        InputError: Such a label.
    """
    ranks = set(labels.tolist())
    row = first_row(table, pd.Series([label not in ranks for label in y.tolist()]))
    if not row:
        return

    rank_numbers = as_numbers(labels.astype(str)).tolist()
    number = as_numbers([row["label"]])[0]
    if number in rank_numbers:  # "03", where the ranks have "3"
        label = y[table["label"] == row["label"]].tolist()[0]  # as y has it, not as text
        raise InputError(f"y: the label {label!r} is written otherwise in ranks; write both alike.")

    choices = ", ".join(map(str, labels.tolist()))
    cure = f"write one of {choices}"
    if y.dtype.kind in "iu" and np.isnan(rank_numbers).all():
        # as `cross_val_predict` does with method="predict_proba"
        cure += ", or their places in ranks if something has numbered them by the alphabet"
    raise InputError(f"{row['where']}: the label {row['label']!r:.80} is no rank; {cure}.")


def holds_images(X: Any) -> bool:
    """Return whether X holds images; else it is a matrix of features.

    Images are a sequence of paths, images of Pillow or arrays, or a batch of arrays.

    Raises:
        InputError: A table with images or paths in its first row.

    Example:
        >>> holds_images(["a.jpg"]), holds_images(np.zeros((2, 8, 8, 3), np.uint8))
        (True, True)
        >>> holds_images([[0.1, 0.2]])
        False
    """
    is_table = isinstance(X, pd.DataFrame | np.ndarray) and X.ndim == 2
    if is_table and any(map(is_image, np.asarray(X[:1]).flat)):
        raise InputError("X: a table of images or paths; give a list or a Series of them.")
    if isinstance(X, str):
        raise InputError(f"X: {X!r:.80} is one text; give a list of paths.")
    if getattr(X, "ndim", 1) != 1:
        return bool(X.ndim == 4)

    first = next(iter(X), None) if hasattr(X, "__iter__") else None
    return isinstance(first, str) or is_image(first)


def is_image(cell: Any) -> bool:
    """Return whether a cell holds an image or its path; a text that is a number is none.

    Example:
        >>> is_image("a.jpg"), is_image("0.5")
        (True, False)
    """
    if isinstance(cell, str):
        return bool(as_numbers([cell]).isna().all())
    return isinstance(cell, Path | Image.Image) or getattr(cell, "ndim", 0) == 3
