"""`l2rclip fit`: train on a data set, in two stages."""

import os
from typing import TYPE_CHECKING, Annotated

import tyro

from l2rclip_lite.commands.options import DATA, Data, load_options
from l2rclip_lite.config import Config
from l2rclip_lite.errors import plural

if TYPE_CHECKING:
    from l2rclip_lite.data import OrdinalDataset
    from l2rclip_lite.runs.results import Run

FEWEST_FOR_INTERVALS = 9  # with fewer images an interval of 90 % holds every rank


def fit(
    dataset: str,
    out: str,
    # Never with a default: the fields' own follow the preset.
    config: Annotated[Config, tyro.conf.arg(name="")],
    quiet: bool = False,
    cache: str | None = None,
    options: Data = DATA,
) -> None:
    r"""Train on a data set, in two stages, calibrate the probabilities, and write a run directory.

    Try:
      l2rclip fit --dataset leaves --out runs/leaves
          generated leaves, nothing to download, minutes on a laptop
      l2rclip fit --dataset bracol --root DATA/bracol_severity --fold 1 --out runs/bracol
          real coffee leaves
      l2rclip fit --dataset csv --root DIR --labels labels.csv --ranks "fresh,ripe,overripe" \
                  --template "a photo of a {rank} banana" --out runs/mine
          your own images; labels.csv has the columns path,label and, if you like, group and split
      l2rclip fit --dataset csv --root DIR --labels visits.tsv --path-column file \
                  --label-column week --group-column patient --unit weeks --image-side kernel \
                  --out runs/mine
          columns by your own names, nobody in two splits, and a first look in minutes: only a
          head on the features trains
      l2rclip fit --dataset csv --root DIR --out runs/mine
          a sub-folder for each rank, called by a number; names need --ranks in their order
      accelerate launch -m l2rclip_lite fit --dataset leaves --out runs/leaves
          the same on every GPU of this machine
      torchrun --nproc-per-node 2 -m l2rclip_lite fit --dataset leaves --device cpu \
               --out runs/leaves
          the same in two processes on CPUs, where accelerate would start one

    A run that was stopped continues from its last complete epoch: give the same command again.

    Args:
        dataset: leaves (generated), csv (your own), or another one that `l2rclip data` lists.
        out: The run directory: new, or of the same run.
        quiet: Print nothing but the last line.
        cache: Keep image features of the untrained tower in this folder, and take them from there.
        options: The data set.
        config: Model and training.
    """
    from l2rclip_lite.data import load_dataset
    from l2rclip_lite.training import fit as train

    is_first = os.environ.get("RANK", "0") == "0"  # of several processes, one prints
    quiet = quiet or not is_first
    source = {"name": dataset} | load_options(options)
    loaded = load_dataset(**source)
    if not quiet:
        print(loaded.summary(), end="\n\n", flush=True)

    run = train(loaded, config, out, source=source, cache=cache, quiet=quiet)
    if not quiet:
        _print_scores(run, loaded)

    if is_first:
        test = run.metrics["test"]
        caveat = f" ({loaded.caveat})" if loaded.caveat else ""
        print(
            f"test RPS {test['rps']:.3f}, MAE (median) {test['mae_median']:.3f}, "
            f"accuracy {test['accuracy']:.3f}{caveat}; the run is in {out}"
        )


def _print_scores(run: "Run", data: "OrdinalDataset") -> None:
    """Print the test scores of a run, and what was chosen and calibrated on validation images."""
    from l2rclip_lite.commands.finished_baselines import table
    from l2rclip_lite.runs.results import row_titles

    rows = {title: run.metrics[key] for key, title in row_titles(run.metrics).items()}
    print(table(rows, f"test; unit of MAE: {data.ranks.unit}"), end="\n\n")
    if run.metrics["test"]["rps"] >= run.metrics["median_rank"]["rps"]:
        print("not better, by RPS, than the answer that looks at no image (median rank)")

    if run.history and "numbers" in run.history[-1]:  # of a kernel head
        mixture = run.history[-1]
        print(
            f"kernel chosen by validation: weight of sentences {mixture['text']:.2f}, "
            f"of numbers {mixture['numbers']:.2f}"
        )

    too_few = len(data.val) < FEWEST_FOR_INTERVALS
    intervals = "intervals of all ranks, for want of images" if too_few else "90 % intervals"
    print(
        f"calibrated on {plural(len(data.val), 'validation image')}: "
        f"temperature {float(run.model.temperature):.2f}, {intervals}"
    )
