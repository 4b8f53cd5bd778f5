"""What a command says before and after it runs: misspelt words, signals, and what may reach the terminal."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version

import pytest

from l2rclip_lite import cli
from l2rclip_lite.progress import Progress

FIT = "fit --dataset leaves --out x"


class Terminal(io.StringIO):
    """A stream that passes for a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def run(*words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command line."""
    out, err = io.StringIO(), Terminal()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main(words)
    return code, out.getvalue(), err.getvalue()


def replace_doctor(monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]) -> None:
    """Let `l2rclip doctor` do something else."""

    def doctor() -> int:
        """Do it."""
        body()
        return 0

    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS[:-1], doctor))


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


def test_words_that_nobody_can_explain_are_still_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parser itself says, without its box."""
    monkeypatch.setattr(cli, "explain", lambda command, words: "")
    code, _, err = run("evaluate", "run", "--split", "tset")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: Invalid choice invalid choice 'tset'")


def test_no_command_at_all_names_them() -> None:
    """All nine, in the order of the help."""
    code, _, err = run()
    assert code == 2
    assert err.startswith("error: name a command: fit, baselines, compare, report, predict, ")


def test_version_is_that_of_the_package() -> None:
    """One line, as other commands print it."""
    assert run("--version") == (0, f"l2rclip-lite {version('l2rclip-lite')}\n", "")


@pytest.mark.parametrize(
    "line", ["predict leaves a\0.png", "evaluate a\0b", "fit --dataset leaves --out a\0b"]
)
def test_a_path_with_a_nul_character_is_refused(line: str) -> None:
    """No system has such a file."""
    code, _, err = run(*line.split())
    assert (code, err.count("\n")) == (2, 1)
    assert "no value holds a NUL character" in err


def test_sigterm_ends_a_command_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds is released, its bar leaves the line, one sentence follows; the old handler is back."""
    released = list[str]()

    def wait_for_the_signal() -> None:
        try:
            for _ in Progress(range(2), "working"):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
        finally:
            released.append("lock")

    replace_doctor(monkeypatch, wait_for_the_signal)
    before = signal.getsignal(signal.SIGTERM)
    code, _, err = run("doctor")
    *bar, last, rest = err.split("\n")
    assert code == 143
    assert released == ["lock"]
    assert "working" in bar[0]
    assert last == "terminated; a fit keeps its complete epochs: give the same command again."
    assert rest == ""
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_runs_in_a_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the main thread may handle signals; in another one they are left alone."""
    codes = list[int]()
    replace_doctor(monkeypatch, lambda: None)
    thread = threading.Thread(target=lambda: codes.append(cli.main(["doctor"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_nothing_that_steers_the_terminal_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape sequences, carriage returns, turned writing: each as an escape. Line ends, and letters of any script, stay."""
    replace_doctor(monkeypatch, lambda: print("no\x1b[2J\r\u202e\x9b 葉\nlow"))
    assert run("doctor")[1] == "no\\x1b[2J\\r\\u202e\\x9b 葉\nlow\n"


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
