"""How commands read a finished run: its model, its data, its answers and its baselines."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from l2rclip_lite.commands.common import Place, Words
from l2rclip_lite.errors import InputError, one_line

if TYPE_CHECKING:
    import pandas as pd

    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.method.model import L2RCLIP
    from l2rclip_lite.method.ranks import Ranks
    from l2rclip_lite.metrics import Scores
    from l2rclip_lite.runs.run_directory import RunDirectory


PIECES = 1.4  # tokens for a word: plain English has fewer


def scored_answers(run: str) -> "tuple[Ranks, dict[str, pd.DataFrame], dict[str, Scores]]":
    """Return what a run and its baselines answered to the test images, and how well.

    Returns:
        The ranks; the answers of the run's model and of each baseline, all in the order of the
        first; their scores, see `metrics.resampled`.

    Raises:
        InputError: A file of the run was changed, or a baseline belongs to other images.
    """
    from l2rclip_lite.metrics import resampled
    from l2rclip_lite.runs.model_file import find_model_file, read_settings
    from l2rclip_lite.runs.results import row_titles
    from l2rclip_lite.runs.run_directory import RunDirectory, probabilities_of

    directory = RunDirectory(run)
    directory.check_model()
    _, ranks = read_settings(find_model_file(run))
    ours = directory.read_predictions(ranks)

    answers = {row_titles(directory.read_metrics())["test"]: ours}
    for name, baseline in finished_baselines(directory).items():
        theirs = baseline.read_predictions(ranks)
        answers[name] = in_order_of(ours, theirs, baseline)

    subjects = None
    if "subject" in ours:
        subjects = ours["subject"].tolist()

    scores = {}
    for name, answer in answers.items():
        p = probabilities_of(answer)
        scores[name] = resampled(p, answer["true_rank"].to_numpy(), ranks, groups=subjects)
    return ranks, answers, scores


def finished_baselines(run: "RunDirectory", *, quiet: bool = False) -> "dict[str, RunDirectory]":
    """Return the directories of the baselines of a run that are complete, by name.

    A folder whose name is that of no method, or that is not complete, is left out, with a warning
    on stderr.

    Args:
        run: The run.
        quiet: Whether to leave the warnings out.

    Raises:
        InputError: A baseline was trained on other data than the run.
    """
    from l2rclip_lite.baselines import BASELINES, one_name

    finished = {}
    for folder in run.baseline_names():
        baseline = run.baseline(folder)
        name = one_name(folder)
        if name not in BASELINES:
            place = f"the folder {folder!r} in {baseline.folder.parent}"
            warn(f"{place} is no baseline and is left out; rename or delete it.", quiet)
            continue

        baseline.check()
        is_complete = baseline.has_file(baseline.model)
        is_complete = is_complete and baseline.has_file(baseline.predictions)  # it is written last
        if not is_complete:
            fix = f"`l2rclip baselines {run.folder} {name}` trains it"
            warn(f"{baseline.folder} is not complete and is left out; {fix}.", quiet)
            continue
        check_same_data(run, baseline)
        finished[name] = baseline
    return finished


def warn(message: str, quiet: bool) -> None:
    """Write a warning on stderr, unless `quiet`."""
    if not quiet:
        print(f"warning: {one_line(message)}", file=sys.stderr)


def check_same_data(run: "RunDirectory", baseline: "RunDirectory") -> None:
    """Refuse a baseline that was trained on other data than the run.

    Those of earlier releases have no record; of them the test images are compared alone.
    """
    from l2rclip_lite.data.fingerprint import covers_images

    fix = "delete the folder and train it again"
    ours = run.read_record().dataset.fingerprint
    if not baseline.has_file(baseline.config):
        if covers_images(ours) and baseline.has_file(baseline.predictions):
            raise InputError(f"{baseline.folder}: has no record of its data; {fix}.")
        return
    theirs = baseline.read_record().dataset.fingerprint
    if ours != theirs:
        problem = f"{baseline.folder}: was trained on other data than the run"
        raise InputError(f"{problem}; {fix}.")


def in_order_of(
    ours: "pd.DataFrame", theirs: "pd.DataFrame", baseline: "RunDirectory"
) -> "pd.DataFrame":
    """Return the answers of a baseline in the order of the run's own, image by image.

    Raises:
        InputError: It answered other images, or knows another true rank of one.
    """
    fix = "delete the folder of the baseline and train it again"
    by_path = theirs.set_index("path", drop=False)
    if len(ours) != len(theirs) or not ours["path"].isin(by_path.index).all():
        raise InputError(f"{baseline.predictions}: its images are not those of the run; {fix}.")

    aligned = by_path.loc[ours["path"]].reset_index(drop=True)
    differs = (aligned["true_rank"] != ours["true_rank"]).to_numpy()
    if differs.any():
        path = ours["path"][differs.argmax()]
        row = int((theirs["path"] == path).to_numpy().argmax()) + 2
        problem = f"the true rank of {path!r} is not that of the run"
        raise InputError(f"{baseline.predictions} row {row}: {problem}; {fix}.")
    return aligned


def load_model(
    run: str,
    method: str | None = None,
    device: str = "cpu",
    *,
    weights: str | None = None,
    allow_download: bool = False,
) -> "L2RCLIP":
    """Return L2RCLIP of a run, or one of its baselines.

    Raises:
        InputError: A method that does not exist or was not trained, a model that is damaged, or a
            link in the place of a file of the run.
    """
    from l2rclip_lite.method.model import L2RCLIP
    from l2rclip_lite.runs.run_directory import RunDirectory

    directory = RunDirectory(run)
    source = directory
    if method is not None:
        source = directory.baseline(folder_of(directory, method))
        if not source.has_file(source.model):
            fix = f"train it by `l2rclip baselines {run} {method}`"
            raise InputError(f"{source.folder}: not there; {fix}.")
        check_same_data(directory, source)

    source.check_model()
    return L2RCLIP.from_pretrained(
        source.folder, device=device, weights=weights, allow_download=allow_download
    )


def in_other_words(model: "L2RCLIP", words: Words) -> "L2RCLIP":
    """Return a model that answers in the words that a user names; as it is where these are its own.

    Raises:
        InputError: Names that are no ranks, or a model that knows no sentences.
    """
    if words == Words():
        return model

    from l2rclip_lite.data.own_images.labels import ranks_of_names

    template = model.ranks.template if words.template is None else words.template
    if words.ranks is None:
        ranks = replace(model.ranks, template=template)
    else:
        ranks = ranks_of_names(words.ranks, template)
    if ranks.sentences == model.ranks.sentences:
        return model

    return model.with_ranks(ranks)


def warn_of_words(model: "L2RCLIP", trained: "L2RCLIP") -> None:
    """Say on stderr what answers in words that training never had are worth."""
    if model is trained:
        return

    advice = "trust the order of the answers, not how sure they are (`evaluate --calibrate`)"
    warn(f"training never had these words: {advice}.", quiet=False)
    template = model.ranks.template.replace("{rank}", " ").strip()
    if not template:
        return

    tokens = model.towers.tokenize([template])
    pieces = int(tokens.words.sum()) / len(template.split())
    if pieces > PIECES:
        reason = "as it does with other languages and rare terms"
        doubt = f"cuts the template into {pieces:.1f} pieces a word, {reason}"
        warn(f"the text tower {doubt}; it may not know what they mean.", quiet=False)


def folder_of(run: "RunDirectory", method: str) -> str:
    """Return the name of the folder in which a baseline of the run is kept.

    A run of an earlier release may keep one under its other name.
    """
    from l2rclip_lite.baselines import ALIASES, BASELINES, one_name

    name = one_name(method)
    if name not in BASELINES:
        choices = ", ".join(BASELINES)
        raise InputError(f"--method {method!r} is no baseline; choose one of {choices}.")
    aliases = [alias for alias, canonical in ALIASES.items() if canonical == name]
    for folder in (name, *aliases):
        baseline = run.baseline(folder)
        if baseline.has_file(baseline.model):
            return folder
    return name


def data_of(run: str, where: Place) -> "OrdinalDataset":
    """Return the data of a run, read again and compared with what they were.

    Raises:
        InputError: They cannot be read, or have changed.
    """
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.data.fingerprint import (
        UNKNOWN_IMAGES,
        covers_images,
        difference,
        fingerprint,
    )
    from l2rclip_lite.runs.run_directory import RunDirectory

    stored = RunDirectory(run).read_record().dataset
    fix = "fit it by `l2rclip fit`, or pass --root if it has moved"
    if stored.source is None:
        problem = f"{run}: has no record of where its data are"
        cure = "fit it by `l2rclip fit`, or let `evaluate` score a table by --root and --labels"
        raise InputError(f"{problem}; {cure}.")

    places = {"root": where.root, "labels": where.labels, "lists": where.lists}
    named = {key: place for key, place in places.items() if place}
    try:
        data = load_dataset(**{**stored.source, **named})
    except (InputError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{run}: its data cannot be read again; {fix} ({error})") from error

    changed = difference(stored.fingerprint, fingerprint(data))
    if changed:
        raise InputError(f"{run}: data with {changed} now; pass the old --root.")
    if not covers_images(stored.fingerprint):
        print(f"{run}: {UNKNOWN_IMAGES}", file=sys.stderr)
    return data


def start_of(run: str, recorded: str | None, named: str | None) -> str | None:
    """Return the run that a run began with, where it is now; None where it began with none.

    Args:
        run: A run directory.
        recorded: The name in its record; nothing is downloaded by it.
        named: Where the user says that it is.

    Raises:
        InputError: It is on the hub and not named, is another model than it was, or is named where
            there was none.
    """
    from l2rclip_lite.files import sha256_of
    from l2rclip_lite.runs.model_file import HUB
    from l2rclip_lite.runs.run_directory import RunDirectory
    from l2rclip_lite.runs.start import find_start

    if recorded is None:
        if named is not None:
            raise InputError(f"{run}: began with no other run; leave out --start.")
        return None
    if named is None and recorded.startswith(HUB):
        raise InputError(f"{run}: began with {recorded}; add --start {recorded} to download it.")

    start = named or recorded
    if sha256_of(find_start(start)) != RunDirectory(run).read_record().start_sha256:
        raise InputError(f"{start}: is not what {run} began with; bring that back (--start).")
    return start
