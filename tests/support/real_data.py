"""Where the real data of some tests lies, if it is here at all."""

import os
from pathlib import Path

import pytest


def real_folder(name: str) -> Path:
    """Return the folder `name` under $L2RCLIP_DATA, or under shared/data in a folder above.

    Where there is none, the test is skipped with the reason.
    """
    places = []
    if "L2RCLIP_DATA" in os.environ:
        places.append(Path(os.environ["L2RCLIP_DATA"]))
    for folder in Path(__file__).resolve().parents:
        places.append(folder / "shared" / "data")

    for place in places:
        if (place / name).is_dir():
            return place / name
    where = "$L2RCLIP_DATA or shared/data in a folder above"
    pytest.skip(f"there is no {name} under {where}; see `l2rclip data --help`")
