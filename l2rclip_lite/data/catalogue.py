"""What is known about each of the nine data sets before a picture is seen: card, ranks, protocols and folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from l2rclip_lite.data import adience, aesthetics, bracol, clap2015, hci, leaves, morph, retinamnist
from l2rclip_lite.data.base import Card
from l2rclip_lite.ranks import Ranks

OWN = Card(
    name="csv",
    title="Your own pictures",
    source="a folder and a CSV file with the columns path, label and, if you like, split",
    licence="yours",
    citation="none",
    notes=(
        "A label is the name of a rank or its index from 0. Without a split column the file is cut 70/15/15 within "
        "every rank."
    ),
    terms="What the people in the pictures and their owners agreed to: you are the one to ask.",
    leakage=(
        "A file may stand in the list once. Whether two pictures show one person or thing only you know: then "
        "write the split column yourself."
    ),
)


class About(NamedTuple):
    """One data set.

    Args:
        card: Source, licence, citation, terms, known leakage.
        ranks: The label space; None where the user chooses it.
        pictures: How many there are, in words.
        folds: The folds of each protocol, none where it has only one split; the protocol is "" where the data
            set has no name for it.
        said: What each protocol is, in words.
    """

    card: Card
    ranks: Ranks | None
    pictures: str
    folds: Mapping[str, tuple[int, ...]]
    said: Mapping[str, str]


def catalogue() -> dict[str, About]:
    """The facts of every data set, by the name `load_dataset` knows.

    Example:
        >>> facts = catalogue()
        >>> len(facts), facts["morph"].card.licence[:22], facts["hci"].folds[""][-1]
        (9, "the owner's own licenc", 9)
    """
    five = (0.0, 1.0, 2.0, 3.0, 4.0)
    free = {
        "leaves": About(
            leaves.CARD,
            Ranks(leaves.FIVE, five, leaves.TEMPLATE),
            "as many as you ask for with --size, 600 by default; --ranks 3 to 100",
            {"": ()},
            {"": "cut 70/15/15 within every rank; --data-seed draws others"},
        ),
        "bracol": About(
            bracol.CARD,
            Ranks(bracol.NAMES, five, bracol.TEMPLATE),
            "1,685",
            {"": (1, 2, 3, 4, 5)},
            {"": "the authors' five rotations, 70/15/15"},
        ),
        "csv": About(
            OWN,
            None,
            "yours",
            {"": ()},
            {"": "your split column, or one drawn by --data-seed; --ranks names the ranks"},
        ),
        "retinamnist": About(
            retinamnist.CARD,
            Ranks(retinamnist.NAMES, five, retinamnist.TEMPLATE),
            "1,600",
            {"": ()},
            {
                "": "as published: 1,080 training, 120 validation and 400 test pictures; --pixels 28, 64, 128 or 224"
            },
        ),
    }
    return free | _listed()


def _listed() -> dict[str, About]:
    """The data sets whose split is a published list."""
    return {
        "morph": About(morph.CARD, morph.ranks(), "55,134", morph.FOLDS, morph.SETTINGS),
        "clap2015": About(
            clap2015.CARD,
            clap2015.ranks(),
            "4,691",
            dict.fromkeys(clap2015.PROTOCOLS, ()),
            {
                tested: f"learn from the published {' and '.join(learned)}, report on {tested}"
                for tested, learned in clap2015.PROTOCOLS.items()
            },
        ),
        "adience": About(
            adience.CARD,
            adience.ranks(),
            "17,470",
            {"": adience.FOLDS},
            {"": "the fold to test on; no user is in two"},
        ),
        "hci": About(
            hci.CARD, hci.ranks(), "1,325", {"": hci.FOLDS}, {"": "random repeats, 210/5/50 of each decade"}
        ),
        "aesthetics": About(
            aesthetics.CARD,
            aesthetics.ranks(),
            "13,316",
            aesthetics.FOLDS,
            {
                protocol: f"{said}; --category {', '.join(aesthetics.CATEGORIES)}"
                for protocol, said in (
                    ("official", "the lists' one 80/20 split"),
                    ("five-fold", "75/5/20 at random"),
                )
            },
        ),
    }
