"""Settings, ranks and checkpoints: of another type, of another run, hostile."""

from dataclasses import replace
from pathlib import Path

import pytest
from children import CONFIG
from faults import judged, painted

from l2rclip_lite.files import read_tensors, save_tensors
from l2rclip_lite.training import fit

pytestmark = pytest.mark.untyped
TINY = replace(CONFIG, epochs1=1, epochs2=0)


@pytest.mark.parametrize("difference", ["other shape", "no record"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, difference: str) -> None:
    """Of a run that was stopped after stage 1: of another model, or an earlier release."""

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    *splits, ranks = painted()
    with pytest.raises(KeyboardInterrupt):
        fit(splits, TINY, tmp_path, ranks=ranks, quiet=True, on_epoch=stop)

    file = tmp_path / "checkpoint" / "stage1.safetensors"
    tensors, record = read_tensors(file)
    name = "now/prompts.context"
    if difference == "other shape":
        tensors[name] = tensors[name][:1]
    else:
        record = {"about": "[]"}
    save_tensors(file, tensors, record)

    with judged(about="stage1.safetensors"):
        fit(splits, TINY, tmp_path, ranks=ranks, quiet=True)
