"""`l2rclip data`: describe, check or download a data set."""

from l2rclip_lite.commands.options import DATA, Data, Name, load_options
from l2rclip_lite.errors import InputError


def data(
    name: Name = None,
    leakage: bool = False,
    check: bool = False,
    download: str = "",
    options: Data = DATA,
) -> int:
    """Describe a data set: its card, its counts, its leakage; check its images, or download it.

    Try:
      l2rclip data
          all data sets
      l2rclip data morph
          its card: source, licence, terms, known leakage, protocols and folds
      l2rclip data morph --download DIR/datalists
          the official split lists, which are free; the faces are not, ask their owner
      l2rclip data morph --lists DIR/datalists --protocol rs-partial --fold 0
          how many images each rank has
      l2rclip data morph --lists DIR/datalists --protocol rs-partial --leakage
          who is in training and in test, for every fold; needs no image
      l2rclip data csv --root DIR --ranks "fresh,ripe,overripe" --check
          decode every image of your own and list all faults; exit code 2 if `fit` would refuse them

    Args:
        name: One of the data sets.
        leakage: Print what training and test share.
        check: Decode every image, and print sizes, modes, copies across splits, and all that cannot
            be read.
        download: Fetch what is free, images or split lists, into this folder.
        options: Which part of it.
    """
    from l2rclip_lite.data import benchmarks, load_dataset
    from l2rclip_lite.data import check as prints

    chosen = load_options(options)
    actions = {"--leakage": leakage, "--check": check, "--download": download}
    n_actions = sum(bool(value) for value in actions.values())
    if n_actions > 1 or (name is None and (n_actions or chosen)):
        raise InputError(f"data: name a data set, and at most one of {', '.join(actions)}.")

    if name is None:
        print(benchmarks.cards_table().to_string())
    elif name not in benchmarks.DATA_SETS:
        load_dataset(name)  # refuses the name, and lists those there are
    elif download:
        folder = benchmarks.download(name, download)
        print(f"{name} is in {folder}; `l2rclip data {name}` says more.")
    elif check:
        report, is_fit = prints.check(name, chosen)
        print(report)
        return 0 if is_fit else 2
    elif leakage:
        print(prints.leakage_table(name, chosen))
    elif chosen or name == "leaves":
        print(prints.counts(load_dataset(name, **chosen)))
    else:
        print(prints.card(name))
    return 0
