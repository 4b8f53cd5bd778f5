"""Where the real data of some tests lies, if it is here at all."""

import os
from pathlib import Path


def folder_of(name: str) -> Path | None:
    """The folder `name` under $L2RCLIP_DATA, or under shared/data in a folder above this one."""
    places = [Path(os.environ["L2RCLIP_DATA"])] if "L2RCLIP_DATA" in os.environ else []
    places += [folder / "shared" / "data" for folder in Path(__file__).resolve().parents]
    return next((place / name for place in places if (place / name).is_dir()), None)


def missing(name: str) -> str:
    """Why a test that needs the folder is skipped."""
    return f"there is no {name} under $L2RCLIP_DATA or shared/data in a folder above; see `l2rclip data --help`"
