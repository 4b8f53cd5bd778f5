"""The scikit-learn estimator: scikit-learn's checks and tools, the answers of the package."""

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import get_scorer
from sklearn.utils.estimator_checks import parametrize_with_checks

from l2rclip_lite import L2RCLIPClassifier, model
from l2rclip_lite.data import OrdinalDataset
from l2rclip_lite.errors import InputError
from l2rclip_lite.towers.base import Towers

TINY: dict[str, Any] = {"towers": "tiny/random", "epochs1": 2, "epochs2": 1, "device": "cpu"}
CANNOT = {"check_classifiers_classes": "it fits names without ranks; their order would be a guess"}


@pytest.fixture(autouse=True)
def _copied_towers(tiny: Towers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model has a copy of the same towers, but for their tokenizer, which never changes.

    To make towers anew, or to copy 49,000 tokens, takes longer than most fits here.
    """

    def copied(*_: object, **__: object) -> Towers:
        return deepcopy(tiny, {id(tiny.tokenizer): tiny.tokenizer})

    monkeypatch.setattr(model, "load_towers", copied)


@pytest.mark.slow
@pytest.mark.untyped
@parametrize_with_checks([L2RCLIPClassifier(**TINY)], expected_failed_checks=lambda _: CANNOT)
def test_the_checks_of_scikit_learn(estimator: L2RCLIPClassifier, check: Any) -> None:
    """On features. An xfail that passes is an error, so no reason in CANNOT is stale."""
    check(estimator)


@pytest.mark.parametrize("image_side", ["kernel", "tower"])
def test_a_classifier_gives_the_probabilities_of_its_model_by_the_alphabet(
    leaves: OrdinalDataset, tmp_path: Path, image_side: str
) -> None:
    """Fitted on files, of files, names of files, objects and one array; also after a pickle."""
    files = []
    images = [image for image, _ in leaves.train]
    for row, image in enumerate(images):
        files.append(tmp_path / f"{row}.png")
        image.save(files[-1])
    texts = np.array([str(file) for file in files])
    arrays = np.stack([np.asarray(image) for image in images])
    names = np.array(leaves.ranks.names)
    targets = list(leaves.train.targets)

    unfitted = L2RCLIPClassifier(names, "{rank} damage", image_side=image_side, **TINY)
    fitted = unfitted.fit(files, names[targets])
    grader = pickle.loads(pickle.dumps(fitted))

    by_rank = grader.model_.predict(images).probabilities
    expected = by_rank[:, [3, 2, 0, 4, 1]]
    assert grader.model_.ranks.sentences[0] == "no damage"
    assert grader.classes_.tolist() == ["high", "low", "no", "very high", "very low"]
    for form in (files, texts, images, arrays):
        assert np.allclose(grader.predict_proba(form), expected, atol=1e-6)
    assert grader.predict(images).tolist() == grader.classes_[expected.argmax(1)].tolist()

    score = get_scorer("neg_log_loss")(grader, images, names[targets])
    assert score == pytest.approx(float(by_rank[range(len(targets)), targets].log().mean()))


@pytest.mark.untyped
@pytest.mark.parametrize(
    ("settings", "y", "sentence"),
    [
        ({}, ["low", "high"], r"^y: .* no known order; give all by ranks=\[\.\.\.\], lowest"),
        ({"ranks": ["low", "high"]}, ["low", "hihg"], "^y: 'hihg' is no rank; write one of low, "),
        ({"ranks": ["0", "1"]}, ["0.0", "1.0"], "^y: '0.0' is no rank"),
        ({"ranks": [1, 2]}, [1, 3], r"^y: 3 is no rank; write one of 1, 2\.$"),
        ({"ranks": "0,1,2"}, [0, 1, 2], "^ranks: y holds whole numbers, so give such, not '0,1"),
        ({}, [0, 1, 2, 3, 4, 5], "^y: no label occurs twice"),
        ({"image_side": "tower"}, [0, 1], "^X: features train no tower"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(
    settings: dict[str, Any], y: list[Any], sentence: str
) -> None:
    """Of Python: without an option of the command line."""
    grader = L2RCLIPClassifier(**TINY | settings)
    with pytest.raises(InputError, match=sentence):
        grader.fit(np.eye(6), (y * 3)[:6])


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
    """Numbers or their digits: classes are of the kind of y, so that a right answer counts."""
    X = np.repeat(np.eye(3), 4, axis=0)
    y = np.repeat(names, 4)

    grader = L2RCLIPClassifier(ranks, **TINY).fit(X, y)
    assert grader.classes_.dtype.kind == y.dtype.kind
    assert grader.model_.ranks.values == (0, 5, 10)
    assert grader.score(X, y) == 1
