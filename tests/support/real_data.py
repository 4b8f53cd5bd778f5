"""Where the real data of some tests lies, if it is here at all."""

import os
from pathlib import Path


def folder_of(name: str) -> Path | None:
    """Return the folder `name` under $L2RCLIP_DATA, or under shared/data in a folder above."""
    places = []
    if "L2RCLIP_DATA" in os.environ:
        places.append(Path(os.environ["L2RCLIP_DATA"]))
    for folder in Path(__file__).resolve().parents:
        places.append(folder / "shared" / "data")

    for place in places:
        if (place / name).is_dir():
            return place / name
    return None


def missing(name: str) -> str:
    """Return why a test that needs the folder is skipped."""
    places = "$L2RCLIP_DATA or shared/data in a folder above"
    return f"there is no {name} under {places}; see `l2rclip data --help`"
