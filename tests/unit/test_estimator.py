"""The scikit-learn estimator: scikit-learn's own checks, its tools around it, and the same answers as the package."""

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import make_blobs
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from l2rclip_lite import L2RCLIPClassifier, pretrained
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.towers.base import Towers

TINY: dict[str, Any] = {"towers": "tiny/random", "epochs1": 2, "epochs2": 1, "device": "cpu"}
CANNOT = {
    "check_estimators_pickle": "a model is kept as safetensors, never as a pickle",
    "check_classifiers_classes": "it fits names without ranks; their order would be a guess",
}


@pytest.fixture(autouse=True)
def _copied_towers(tiny: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model has a copy of the same towers; to make them anew takes a second."""
    monkeypatch.setattr(pretrained, "load_towers", lambda *_, **__: deepcopy(tiny))


@pytest.mark.slow
@pytest.mark.untyped
@parametrize_with_checks([L2RCLIPClassifier(**TINY)], expected_failed_checks=lambda _: CANNOT)
def test_the_checks_of_scikit_learn(estimator: L2RCLIPClassifier, check: Any) -> None:
    """On features. An xfail that passes is an error, so no reason in CANNOT is stale."""
    check(estimator)


@pytest.mark.parametrize("image_side", ["kernel", "tower"])
def test_images_as_files_arrays_and_objects(
    leaves: OrdinalDataset, image_side: str, tmp_path: Path
) -> None:
    """All give the probabilities of `L2RCLIP.predict`, by the alphabet; what is fitted is not pickled."""
    images, target = zip(*leaves.train, strict=True)
    files = [tmp_path / f"{row}.png" for row in range(len(images))]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    names = np.array(leaves.ranks.names)
    labels = names[[*target]]
    fresh = L2RCLIPClassifier(names, "{rank} damage", image_side=image_side, **TINY)
    grader = pickle.loads(pickle.dumps(fresh)).fit(files, labels)
    assert grader.model_.ranks.sentences[0] == "no damage"
    assert grader.classes_.tolist() == ["high", "low", "no", "very high", "very low"]
    expected = grader.model_.predict(images).probabilities[:, [3, 2, 0, 4, 1]]
    for given in (
        files,
        np.array([*map(str, files)]),
        images,
        np.stack([*map(np.asarray, images)]),
    ):
        assert np.allclose(grader.predict_proba(given), expected, atol=1e-6)
    assert grader.predict(images).tolist() == grader.classes_[expected.argmax(1)].tolist()
    likely = grader.model_.predict(images).probabilities[range(len(target)), [*target]].log().mean()
    assert get_scorer("neg_log_loss")(grader, images, labels) == pytest.approx(float(likely))
    with pytest.raises(TypeError, match="save_pretrained"):
        pickle.dumps(grader)


def test_cross_validation_a_pipeline_and_a_search(leaves: OrdinalDataset) -> None:
    """A search on three clouds of points, for the words of a template; images in two folds."""
    points, grade = make_blobs([40, 40, 40], centers=[[0, 0], [3, 3], [6, 0]], random_state=0)
    grader = make_pipeline(StandardScaler(), L2RCLIPClassifier(**TINY))
    templates = {"l2rclipclassifier__template": ["a leaf of grade {rank}", "{rank} apples"]}
    search = GridSearchCV(grader, templates, cv=2).fit(points, grade * 10)
    assert search.best_score_ > 0.9
    assert search.predict([[0, 0], [3, 3], [6, 0]]).tolist() == [0, 10, 20]
    images, target = zip(*leaves.train, strict=True)
    assert cross_val_score(
        L2RCLIPClassifier(**TINY), images, target, cv=2, error_score="raise"
    ).shape == (2,)


@pytest.mark.untyped
def test_what_cannot_be_fitted() -> None:
    """One sentence each, without a switch of the command line."""
    for settings, y, said in (
        ({}, ["low", "high"], r"^y: give more than one class, in numbers, or ranks in order"),
        ({"ranks": ["low", "high"]}, ["low", "hihg"], r"^y\[1\] .*: the label 'hihg' is no rank"),
        ({}, [0, 1, 2, 3, 4, 5], r"^y: no label occurs twice"),
        ({"image_side": "tower"}, [0, 1], r"^X: features train no tower"),
        (
            {"ranks": "0,1,2"},
            [0, 1, 2],
            r"^ranks: give a list of labels, lowest first, not '0,1,2'",
        ),
        ({"ranks": 3}, [0, 1, 2], r"^ranks: give a list of labels, lowest first, not 3"),
        ({"ranks": ["a", None]}, ["a", "b"], r"^ranks: give a list of labels"),
        ({"ranks": ["low", "high"]}, [0, 1], r"^y\[0\] .*: the label '0' is no rank; write one of low, high\.$"),
        ({"ranks": [1, 2]}, [1, 3], r"^y\[1\] .*: the label '3' is no rank; write one of 1, 2\.$"),
        ({"template": 3}, [0, 1, 1], "^ranks: the template is 3; give a text"),
        ({"template": ""}, [0, 1, 1], "^ranks: the template '' holds {rank} 0 times"),
        ({"ranks": ["0", "1"]}, ["0.0", "1.0"], r"^y: the label '0\.0' is written otherwise"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            L2RCLIPClassifier(**TINY | settings).fit(np.eye(6), (y * 3)[:6])


@pytest.mark.parametrize("cell", [Image.new("RGB", (8, 8)), "leaf.png", Path("leaf.png")])
def test_a_table_of_images_is_no_list(cell: Any) -> None:
    """Its column is what was meant; a table of numbers is one, also where they are texts."""
    table = pd.DataFrame({"i": [cell] * 6})
    for X in (table, table.to_numpy()):
        with pytest.raises(InputError, match="^X: a table of images or paths"):
            L2RCLIPClassifier(**TINY).fit(X, [0, 1] * 3)
    texts = pd.DataFrame({"i": ["0.1", "0.9"] * 3})
    assert L2RCLIPClassifier(**TINY).fit(texts, [0, 1] * 3).predict(texts).tolist() == [0, 1] * 3


@pytest.mark.parametrize("setting", [{"seed": -1}, {"device": "x"}])
def test_a_setting_that_config_refuses_is_one_sentence(setting: dict[str, Any]) -> None:
    """As the docstring of `fit` promises."""
    with pytest.raises(InputError, match=rf"^config: {next(iter(setting))}=.* should be "):
        L2RCLIPClassifier(**TINY | setting).fit(np.eye(6), [0, 1] * 3)


@pytest.mark.parametrize(
    ("ranks", "names"),
    [
        (["0", "5", "10"], [0, 5, 10]),
        (["0", "5", "10"], [0.0, 5.0, 10.0]),
        ([0, 5, 10], ["0", "5", "10"]),
        (None, ["0", "5", "10"]),
    ],
)
def test_labels_meet_their_ranks_by_value(ranks: Any, names: list[Any]) -> None:
    """Numbers or their digits in ranks: classes are of the kind of y, so that a right answer counts as right."""
    X, y = np.repeat(np.eye(3), 4, axis=0), np.repeat(names, 4)
    grader = L2RCLIPClassifier(ranks, **TINY).fit(X, y)
    assert grader.classes_.dtype.kind == y.dtype.kind
    assert grader.model_.ranks.values == (0, 5, 10)
    assert grader.score(X, y) == 1
