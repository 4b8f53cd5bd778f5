"""The command line around its commands: misspelt words, help, signals, the terminal."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest
from run_files import refused, run
from tqdm import tqdm

import l2rclip_lite
from l2rclip_lite import cli
from l2rclip_lite.config import Config

FIT = "fit --dataset leaves --out x"
WITHOUT_TORCH = """
import sys
from l2rclip_lite import cli
cli.main(["fit", "--help"])
sys.exit(not {"torch", "numpy", "pandas"}.isdisjoint(sys.modules))
"""


class Terminal(io.StringIO):
    """A stream that passes for a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def replace_doctor(monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]) -> None:
    """Let `l2rclip doctor` do something else."""

    def doctor() -> int:
        """Do it."""
        body()
        return 0

    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS[:-1], doctor))


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{FIT} --epoch1 3", "--epoch1 is unknown; did you mean --epochs1?"),
        (f"{FIT} --lerning-rate 3", "--lerning-rate is unknown; did you mean --lr1?"),
        (f"{FIT} --xyzzy", "--xyzzy is unknown; `l2rclip fit --help` lists all options"),
        (
            f"{FIT} --upside-down True",
            "--upside-down takes no value; use --upside-down or --no-upside-down",
        ),
        (f"{FIT} --quiet=1", "--quiet takes no value; use --quiet or --no-quiet"),
        (f"{FIT} --batch_size ten", "--batch-size takes a whole number, not 'ten'"),
        (f"{FIT} --alpha high", "--alpha takes a number, not 'high'"),
        (
            f"{FIT} --preset papper",
            "--preset takes recommended or paper, not 'papper'; did you mean paper?",
        ),
        (
            f"{FIT} --controls.order no",
            "--controls.order takes true, blind or shuffled, not 'no'",
        ),
        ("fit --dataset leaves", "fit needs --out; `l2rclip fit --help` shows examples"),
        ("fit --dataset leaves --out", "--out needs a value"),
        ("export leaves", "export needs FILE; `l2rclip export --help` shows examples"),
        ("evaluate run --json yes", "--json takes no value; use --json or --no-json"),
        ("compare a b", "'b' is one word too many for `l2rclip compare`"),
        ("fitt", "there is no command 'fitt'; did you mean fit?"),
    ],
)
def test_misspelt_words_are_one_sentence_with_the_nearest_right_one(
    line: str, sentence: str
) -> None:
    """Exit code 2, nothing else on either stream; an abbreviation counts as misspelt."""
    assert run(*line.split()) == (2, "", f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["report", "leaves", "--out", ""], "--out is empty; give it a value"),
        (["report", "leaves", "--out="], "--out is empty; give it a value"),
        (["evaluate", "runs/none", "--root", ""], "--root is empty; give it a value"),
        (
            ["fit", "--dataset", "csv", "--out", "x", "--cache", ""],
            "--cache is empty; give it a value",
        ),
        (["export", "leaves", ""], "FILE is empty; give it a name"),
        (["export", "", "leaves.onnx"], "RUN is empty; give it a name"),
    ],
)
def test_an_empty_value_is_neither_the_current_folder_nor_no_value(
    words: list[str], sentence: str
) -> None:
    """What a shell makes of "$OUT" where that is not set."""
    assert run(*words) == (2, "", f"error: {sentence}\n")


def test_words_that_nobody_can_explain_are_still_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence of the parser itself, without its box."""
    monkeypatch.setattr(cli, "options_problem", lambda command, words: "")
    outcome = run("evaluate", "run", "--split", "tset")
    refused(outcome, "error: Invalid choice invalid choice 'tset'")


NAMES = ("fit", "baselines", "compare", "report", "predict", "evaluate", "export", "data", "doctor")


def test_no_command_at_all_names_them() -> None:
    """All nine, in the order of the help."""
    outcome = run()
    names = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"
    expected = f"error: name a command: {names}; `l2rclip --help` says what they do\n"
    assert outcome == (2, "", expected)


@pytest.mark.parametrize(
    "line", ["predict leaves a\0.png", "evaluate a\0b", "fit --dataset leaves --out a\0b"]
)
def test_a_path_with_a_nul_character_is_refused(line: str) -> None:
    """No system has such a file."""
    refused(run(*line.split()), "no value holds a NUL character")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{FIT} --fold 2", "leaves: fold"),
        (f"{FIT} --ranks a,b", "ranks"),
        (f"{FIT} --alpha 2", "config: alpha=2.0 should be less than or equal to 1"),
        (
            f"{FIT} --context-length 0 --controls.no-rankformer",
            "stage 1 trains nothing; set epochs1=0",
        ),
        (
            "fit --dataset leafs --out x",
            "there is no data set 'leafs'; choose one of leaves, bracol, ",
        ),
        ("predict runs/none a.png", "runs/none: no model.safetensors here"),
        ("export runs/none model.pt", "export: model.pt must end in .onnx"),
        ("data morf", "there is no data set 'morf'; choose one of leaves, bracol, "),
        ("data hci --leakage --download x", "at most one of --leakage, --check, --download"),
        ("data --leakage", "data: name a data set"),
        ("data leaves --download x", "nothing to download"),
        ("data hci --protocol x --leakage", "protocol"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_nothing_is_written(
    line: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, nothing on stdout, no traceback."""
    monkeypatch.chdir(tmp_path)
    refused(run(*line.split()), sentence)
    assert list(tmp_path.iterdir()) == []


def test_debug_adds_the_traceback() -> None:
    """The sentence stays the last line."""
    outcome = run("evaluate", "runs/none", "--debug")
    assert outcome.code == 2
    assert outcome.err.startswith("Traceback")
    assert outcome.err.splitlines()[-1].startswith("error: runs/none: no model")


# --- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", NAMES)
def test_the_help_of_a_command_has_an_example(command: str) -> None:
    """To be copied."""
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert f"Try:\n  l2rclip {command}" in outcome.out


def test_the_help_of_all_has_one_sentence_for_each_command() -> None:
    """The first line of its docstring, and no example."""
    text = " ".join(run("--help").out.replace("│", " ").split())
    sentences = [f"{each.__name__} {each.__doc__.splitlines()[0]}" for each in cli.COMMANDS]
    assert " • ".join(sentences) in text
    assert not any(f"l2rclip {name} " in text for name in NAMES)


def test_the_help_of_fit_has_every_setting_with_its_docstring() -> None:
    """Under its name with hyphens."""
    text = run("fit", "--help").out
    for field in fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "Images per step" in text


def test_help_does_not_wait_for_torch() -> None:
    """Which takes seconds to import."""
    root = Path(l2rclip_lite.__file__).parents[1]
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "l2rclip fit" in done.stdout


@pytest.mark.parametrize("columns", ["1", "5"])
def test_help_ends_on_the_narrowest_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tyro would break its lines for ever."""
    monkeypatch.setenv("COLUMNS", columns)
    assert "--help" in run("doctor", "--help").out


def test_a_current_folder_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every path would be missing, without a name."""
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    refused(run("evaluate", "runs/leaves"), "the current folder is gone")


def test_version_is_that_of_the_package() -> None:
    """One line, as other commands print it."""
    assert run("--version") == (0, f"l2rclip-lite {version('l2rclip-lite')}\n", "")


# --- signals and streams ------------------------------------------------------------------------


def test_sigterm_ends_a_command_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are released, the bar leaves its line, a sentence follows, the handler is put back."""
    released = list[str]()

    def wait_for_the_signal() -> None:
        try:
            for _ in tqdm(range(2), "working"):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
        finally:
            released.append("lock")

    replace_doctor(monkeypatch, wait_for_the_signal)
    handler = signal.getsignal(signal.SIGTERM)
    terminal = Terminal()
    with redirect_stderr(terminal):
        code = cli.main(["doctor"])

    *bar, last, rest = terminal.getvalue().split("\n")
    assert code == 143
    assert released == ["lock"]
    assert "working" in bar[0]
    assert last == "terminated; a fit keeps its complete epochs: give the same command again."
    assert rest == ""
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_command_runs_in_a_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the main thread may handle signals; in another one they are left alone."""
    codes = list[int]()
    replace_doctor(monkeypatch, lambda: None)

    thread = threading.Thread(target=lambda: codes.append(cli.main(["doctor"])))
    thread.start()
    thread.join()

    assert codes == [0]


def test_nothing_that_steers_the_terminal_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences, carriage returns and turned writing become escapes.

    Line ends, and letters of any script, stay.
    """
    replace_doctor(monkeypatch, lambda: print("no\x1b[2J\r\u202e\x9b 葉\nlow"))
    assert run("doctor").out == "no\\x1b[2J\\r\\u202e\\x9b 葉\nlow\n"


@pytest.mark.parametrize("line", ["predict leaves gone.png", "baselines gone ridge", "doctor"])
def test_several_processes_are_for_fit_alone(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a launcher says so, once; the others are quiet."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in (("0", 2), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        code, out, err = run(*line.split())
        assert (code, out) == (expected, "")
        sentence = f"error: {line.split()[0]}: works in one process, not in 2; start it without "
        assert err.startswith(sentence if rank == "0" else "")
        assert err.count("\n") == int(rank == "0")


def test_one_process_with_an_odd_number_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another launcher has left it behind; there is no first process that would speak instead."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    refused(run("predict", "nowhere", "a.png"), "nowhere")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predict", "leaves"), "predict: no image; name images, or a folder that holds some."),
        (("predict", "hf-hub:", "a.png"), '"hf-hub:" names no run; give the --out of a finished'),
    ],
)
def test_what_is_not_named_leaves_no_gap_in_the_sentence(
    words: tuple[str, ...], sentence: str
) -> None:
    """No image, and a hub without a name."""
    refused(run(*words), sentence)
