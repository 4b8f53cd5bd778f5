"""The command line around its commands: misspelt words, help, signals, the terminal."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from unittest.mock import Mock

import pytest
from run_files import refused, run

import l2rclip_lite
from l2rclip_lite import training
from l2rclip_lite.commands import COMMANDS

FIT = "fit --dataset leaves --out x"
WITHOUT_TORCH = """
import sys
from l2rclip_lite.__main__ import main
main(["fit", "--help"])
sys.exit(not {"torch", "numpy", "pandas"}.isdisjoint(sys.modules))
"""


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (f"{FIT} --epoch1 3", "--epochs1"),  # an abbreviation counts as misspelt
        (f"{FIT} --preset papper", "recommended"),
        ("fit --dataset leaves", "--out"),
        ("compare a b", "Unrecognized options: b"),
    ],
)
def test_a_misspelt_option_gets_the_suggestion_of_tyro(line: str, part: str) -> None:
    """On stderr, with exit code 2."""
    outcome = run(*line.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert part in outcome.err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("xyzzy", f"choose {' or '.join(COMMANDS)}"),
        (f"{FIT} --alpha 2", "config: alpha=2.0 should be less than or equal to 1"),
        ("predict runs/none a.png", "runs/none: no model.safetensors here"),
        ("export runs/none model.pt", "export: model.pt must end in .onnx"),
        ("data morf", "there is no data set 'morf'; choose one of leaves, coffee, "),
        ("data --leakage", "data: name a data set"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_nothing_is_written(
    line: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, nothing on stdout; the traceback only where it is asked for."""
    monkeypatch.chdir(tmp_path)
    outcome = run(*line.split())
    refused(outcome, sentence)
    assert list(tmp_path.iterdir()) == []

    debugged = run(*line.split(), "--debug").err
    assert debugged.startswith("Traceback")
    assert debugged.endswith(outcome.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(command: str) -> None:
    """To be copied; that of all commands has its first line instead."""
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert f"Try:\n  l2rclip {command}" in outcome.out
    first_line = outcome.out.split("\n\n")[1].splitlines()[0]
    assert f"  {command:<10} {first_line}\n" in run("--help").out == run().out


def test_help_does_not_wait_for_torch() -> None:
    """Which takes seconds to import."""
    root = Path(l2rclip_lite.__file__).parents[1]
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "l2rclip fit" in done.stdout
    assert run("--version") == (0, f"l2rclip-lite {version('l2rclip-lite')}\n", "")


def test_a_reader_that_has_enough_is_no_error() -> None:
    """Such as `head`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "l2rclip_lite", "doctor", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_ctrl_c_ends_a_command_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 128 and the signal's number, as shells have it."""
    monkeypatch.setattr(training, "fit", Mock(side_effect=KeyboardInterrupt))
    code, out, err = run(*FIT.split(), "--quiet")
    assert (code, out) == (130, "")
    assert err.startswith("interrupted; a fit keeps its complete epochs")
