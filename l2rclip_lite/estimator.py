"""L2RCLIP as a scikit-learn estimator, for its cross-validation, pipelines and searches."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from torch import Tensor

from l2rclip_lite.config import Config, ImageSide
from l2rclip_lite.data.images import ResizedImages
from l2rclip_lite.data.splits import stratified
from l2rclip_lite.data.table import as_numbers, ranks_of_names
from l2rclip_lite.devices import choose_device
from l2rclip_lite.errors import InputError
from l2rclip_lite.model import L2RCLIP, calibrate
from l2rclip_lite.stages import stage1_epochs
from l2rclip_lite.training import train_image_side
from l2rclip_lite.training_data import TrainingData


# scikit-learn has no annotations
class L2RCLIPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """L2RCLIP with `fit`, `predict`, `predict_proba` and `score`, as scikit-learn has them.

    X holds images: paths, PIL images, or arrays of bytes (height, width, 3). Or X holds features
    that you computed, a row of numbers per image; then only the kernel head is fitted, with the
    bare sentences, and there is no stage 1. A share of X, drawn from every rank, is kept for
    validation: it chooses epochs, head and temperature.

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
            InputError: Names without `ranks`, a label that is no rank, too few of them, or features
                for a tower.
            pydantic.ValidationError: A setting that `Config` refuses.
        """
        are_images = holds_images(X)
        if are_images:
            check_consistent_length(X, y)
            X = list(X)
            y = column_or_1d(y)
        else:
            X, y = validate_data(self, X, y, dtype=np.float32, order="C", copy=True)
        check_classification_targets(y)
        labels = rank_labels(self.ranks, y)
        order = np.argsort(labels)
        target = order[np.searchsorted(labels[order], y)]
        parts = np.array(stratified(target, [self.seed], test=0))
        if "val" not in parts:
            raise InputError(
                "y: no label occurs twice, so none is left for validation; give more images."
            )

        settings = self.get_params()
        del settings["ranks"], settings["template"]
        if not are_images:
            settings["epochs1"] = 0  # the bare sentences
        config = Config(**settings)
        ranks = ranks_of_names(labels.tolist(), self.template)
        model = L2RCLIP.build(ranks, config).to(choose_device(config))
        val_features = _train(model, X, target, parts, are_images)

        self.model_ = model
        self.order_ = order
        self.classes_ = labels[order]
        self.n_features_in_ = val_features.shape[1]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return a row of probabilities for each image, in the order of `classes_`."""
        check_is_fitted(self, "model_")
        if holds_images(X):
            X = self.model_.encode(list(X)).numpy()
        rows = validate_data(self, X, dtype=np.float32, order="C", copy=True, reset=False)
        p = self.model_.probabilities(torch.from_numpy(rows)).double().numpy()
        shares = p[:, self.order_]
        # scorers refuse the 1e-7 of single precision
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each image."""
        best = self.predict_proba(X).argmax(1)  # it raises first if nothing was fitted
        return np.asarray(self.classes_[best])


def _train(
    model: L2RCLIP, X: Any, target: np.ndarray, parts: np.ndarray, are_images: bool
) -> Float[Tensor, "batch feature"]:
    """Train both stages on images, or a kernel head on features; return those of validation.

    Args:
        model: With its image tower in the starting state.
        X: Whatever `data.reading.as_rgb` takes, or one row of features per image.
        target: Rank index of each.
        parts: "train" or "val" for each.
        are_images: What X holds.
    """
    if not are_images and model.config.image_side == "tower":
        raise InputError("X: features train no tower; give images, or image_side='kernel'.")

    images = {}
    targets = {}
    backbone = {}
    for part in ("train", "val"):
        rows = np.flatnonzero(parts == part).tolist()
        targets[part] = torch.from_numpy(target[rows])
        if are_images:
            pairs = [(X[row], target[row]) for row in rows]
            images[part] = ResizedImages(pairs, model.towers.image_size)
            backbone[part] = model.encode(images[part], backbone=True)
        else:
            backbone[part] = torch.from_numpy(X[rows])

    data = TrainingData({}, targets, backbone)
    if are_images:
        data = TrainingData.of(backbone, targets, model, images)
        list(stage1_epochs(model, data))
    train_image_side(model, data)

    val_features = data.encode(model, "val")
    calibrate(model, val_features, targets["val"])
    return val_features


def rank_labels(ranks: Any, y: np.ndarray) -> np.ndarray:
    """Return the labels of all ranks, lowest first, as numbers where y holds numbers, else as text.

    Args:
        ranks: All labels, lowest first; None takes the numbers of y by their value.
        y: The labels of the images.

    Raises:
        InputError: Words without ranks, one class, a label that is no rank, or ranks that are no
            numbers where y holds numbers.

    Example:
        >>> rank_labels(["0", "5"], np.array([5, 0])).tolist()
        [0, 5]
        >>> rank_labels(None, np.array(["10", "9"])).tolist()
        ['9', '10']
    """
    labels = np.unique(y) if ranks is None else np.atleast_1d(ranks)
    values = as_numbers(labels.astype(str))
    if ranks is None:
        if len(labels) < 2 or values.isna().any():
            raise InputError(
                f"y: {labels} is one class, or classes of no known order; "
                "give all by ranks=[...], lowest first."
            )
        return np.asarray(labels[np.argsort(values)])

    if y.dtype.kind not in "iuf":
        labels = labels.astype(str)
    elif (values % 1 == 0).all():  # nor does scikit-learn take a y of other numbers
        labels = values.to_numpy(y.dtype)
    else:
        raise InputError(f"ranks: y holds whole numbers, so give such, not {ranks!r:.80}.")

    unknown = y[~np.isin(y, labels)]
    if len(unknown):
        choices = ", ".join(map(str, labels))
        raise InputError(f"y: {unknown.tolist()[0]!r:.80} is no rank; write one of {choices}.")
    return labels


def holds_images(X: Any) -> bool:
    """Return whether X holds images; else it is a matrix of features.

    Images are a sequence of paths, images of Pillow or arrays, or a batch of arrays.

    Example:
        >>> holds_images(["a.jpg"]), holds_images(np.zeros((2, 8, 8, 3), np.uint8))
        (True, True)
        >>> holds_images([[0.1, 0.2]])
        False
    """
    if getattr(X, "ndim", 1) != 1:
        return bool(X.ndim == 4)
    first = next(iter(X), None) if hasattr(X, "__iter__") else None
    return isinstance(first, str | Path | Image.Image) or getattr(first, "ndim", 0) == 3
