"""The method stands alone: its modules and the towers import each other and the errors."""

import pytest
from test_portable import TREES, imported_by

GROUND = {"l2rclip_lite.errors"}
ROOMS = ("l2rclip_lite.method", "l2rclip_lite.towers")
# What a model has beside the method: its settings, images, a head, and the file that it is kept in.
EXCEPTIONS = {
    "l2rclip_lite.method.model": {
        "l2rclip_lite.config",
        "l2rclip_lite.data.image_lists",
        "l2rclip_lite.data.images",
        "l2rclip_lite.data.pixels",
        "l2rclip_lite.heads.kernel",
        "l2rclip_lite.runs.encoding",
        "l2rclip_lite.runs.model_file",
        "l2rclip_lite.runs.start",
    },
    "l2rclip_lite.towers.base": {"l2rclip_lite.data.images", "l2rclip_lite.data.pixels"},
}


@pytest.mark.parametrize("name", sorted(name for name in TREES if name.startswith(ROOMS)))
def test_a_module_of_the_method_imports_nothing_else_of_ours(name: str) -> None:
    """But for the exceptions above, each of which is still needed."""
    ours = {home for home in imported_by(TREES[name]) if home.startswith("l2rclip_lite")}
    others = {home for home in ours if not home.startswith(ROOMS)} - GROUND
    assert others == EXCEPTIONS.get(name, set())
