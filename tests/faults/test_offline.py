"""The default path asks no network, whatever the environment says."""

import os
import subprocess
import sys
from pathlib import Path

CHILD = """
import sys
def listen(event, _):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"{event} was asked for")
sys.addaudithook(listen)
from l2rclip_lite.__main__ import main
data = "--dataset leaves --size 60 --pixels 64"
training = "--epochs1 1 --epochs2 1 --image_size 64 --quiet --out run"
sys.exit(main(["fit", *data.split(), *training.split()]))
"""


def test_the_default_path_asks_no_network(tmp_path: Path) -> None:
    """Towers, sentences, both stages and the model card, without the switch of these tests."""
    env = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
