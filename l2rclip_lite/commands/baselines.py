"""`l2rclip baselines`: train other methods on the data of a finished run."""

import sys
from pathlib import Path

from l2rclip_lite.commands.common import BASELINES, How, Names, Reading, Run, data_of, load_model
from l2rclip_lite.commands.compare import compare
from l2rclip_lite.errors import InputError, one_line


def baselines(run: Run, names: Names, how: How = Reading()) -> None:
    """Train other methods on the towers, data and budget of a finished run, and compare them with it.

    Try:
      l2rclip baselines runs/mine cross-entropy linear-probe

    On fixed image features, in seconds: ridge, linear-probe, zero-shot, zero-shot-raw. On a tower that is trained:
    cross-entropy, rps, sord, coral, corn, dldl-v2, mean-variance, ordinal-entropy, supcon, rank-n-contrast, coop,
    ordinalclip, ordinalclip-inverse; with -frozen behind the name, as in sord-frozen, on fixed features. linear-probe may
    also be called cross-entropy-frozen; it is kept, and stands in every table, as linear-probe.

    Each is kept as a model in RUN/baselines/NAME, and not trained again: `predict`, `evaluate` and `export` take it by
    --method NAME.

    Args:
        run: The --out of a finished fit.
        names: Which methods; none trains ridge and linear-probe, in seconds.
        how: Where to find data and device.
    """
    from l2rclip_lite.baselines import check_baselines, one_name, train_baseline
    from l2rclip_lite.results import write_predictions
    from l2rclip_lite.run_directory import RunDirectory
    from l2rclip_lite.training.features import TrainingData

    names = names or ["ridge", "linear-probe"]
    trained = load_model(
        run, device=how.device, weights=how.weights, allow_download=how.allow_download
    )
    if trained.config.weights != how.weights:  # of a stranger's run: what it names is not followed
        raise InputError(
            f"{run}: its towers began with the weights of {trained.config.weights!r}; "
            "name that file by --weights."
        )
    check_baselines(names, trained.config)
    kept = {name: RunDirectory(Path(run, BASELINES, name)) for name in map(one_name, names)}
    missing = [name for name in kept if not kept[name].predictions.is_file()]  # it is written last
    if missing:
        found = data_of(run, how)
        model = type(trained).build(
            found.ranks,
            trained.config,
            allow_download=how.allow_download,
            commits=trained.towers.commits,
        )
        model.to(trained.device)
        loaded = TrainingData.load(found, model, cache=how.cache, quiet=False)
    for name in missing:
        print(one_line(f"{name}, to be kept in {kept[name].folder}"), file=sys.stderr, flush=True)
        with kept[name].writing():
            done = train_baseline(name, model, loaded, run=kept[name], quiet=False)
            done.save_pretrained(kept[name].folder)
            write_predictions(
                kept[name], done, found.test, done.probabilities(loaded.encode(done, "test"))
            )
            kept[name].clean()
    compare(run)
