"""A user's editor and type checker know every public name, in spite of the lazy imports."""

import subprocess
import sys
from pathlib import Path

import pytest

import l2rclip_lite

ROOT = Path(__file__).parents[2]

USER = """
from pathlib import Path

import torch

from l2rclip_lite import L2RCLIP, Config, Prediction, Ranks, Run, Tokens, Towers
from l2rclip_lite import evaluate, fit, load_dataset, load_towers, ordinal_pairwise_loss

ranks = Ranks(("low", "high"), (0, 1), template="a leaf with {rank} damage")
config = Config(epochs1=2, epochs2=1)
towers: Towers = load_towers("mini")
tokens: Tokens = towers.tokenize(ranks.sentences)
model = L2RCLIP(towers, ranks, config)
answer: Prediction = model.predict(["leaf.jpg"])
names: tuple[str, ...] = answer.name
data = load_dataset("leaves", size=60)
run: Run = fit(data, config, Path("runs/leaves"))
scores: dict[str, float] = evaluate(answer.probabilities, [0], ranks)
z, t, values = torch.zeros(4, 8), torch.zeros(2, 8), ranks.values_tensor()
loss: torch.Tensor = ordinal_pairwise_loss(z, t, torch.zeros(4, dtype=torch.long), values)
"""

WRONG = {
    'fit("nonsense", 3, 5, 6, 7)': "call-arg|arg-type",
    'Config(epochs1="two")': "arg-type",
    "Ranks()": "call-arg",
    'load_dataset("leaves", sizes=60)': "call-arg",
    'load_towers("mini", size=3)': "call-arg",
    "evaluate([[0.5, 0.5]], [0])": "call-arg",
}


def mypy(code: str, folder: Path) -> str:
    """Return the report of mypy on a file of a user, with the settings of `make lint`."""
    file = folder / "user.py"
    file.write_text(code)
    options = ["--no-error-summary", "--show-error-codes", "--hide-error-context"]
    command = [sys.executable, "-m", "mypy", *options, str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_twenty_lines_of_a_user_pass_and_six_wrong_calls_do_not(tmp_path: Path) -> None:
    """The first part has no error, each line of the second has the one expected."""
    first = len(USER.splitlines()) + 1
    report = mypy(USER + "\n".join(WRONG), tmp_path)
    errors = [line for line in report.splitlines() if "error:" in line]

    for number, (call, code) in enumerate(WRONG.items(), first):
        of_line = [line for line in errors if f"user.py:{number}:" in line]
        assert of_line, f"mypy accepts {call}"
        assert any(kind in of_line[0] for kind in code.split("|")), of_line
        errors = [line for line in errors if line not in of_line]

    assert errors == []


def test_every_public_name_is_there() -> None:
    """`__all__`, the lazy imports and tab completion agree."""
    for name in l2rclip_lite.__all__:
        assert getattr(l2rclip_lite, name).__name__ == name
        assert name in dir(l2rclip_lite)
