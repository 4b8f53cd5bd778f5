"""Execute the notebook of one unit with papermill: `unit.py` -> an executed notebook, which stays where a run fails.

python experiments/matrix/run.py notebooks/main/leaves5-0.ipynb -p STUDY main -p DATA leaves5 -p RUN 0 -p OUT rows.csv
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

SOURCE = Path(__file__).with_name("unit.py")
sys.path.append(str(SOURCE.resolve().parents[2] / "tools"))
import kernels


def main() -> None:
    """Parse the command line and execute; exit status 1 where a cell fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook", type=Path, help="where the executed notebook goes")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    options = parser.parse_args()
    parameters = {name: yaml.safe_load(value) if value else "" for name, value in options.p}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
    options.notebook.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "unit.ipynb"
        nbformat.write(jupytext.read(SOURCE), plain)
        if unknown := sorted(set(parameters) - set(papermill.inspect_notebook(plain))):
            raise SystemExit(f"{SOURCE.name} has no parameter {', '.join(unknown)}")
        try:
            kernels.started(
                lambda: papermill.execute_notebook(
                    plain,
                    options.notebook,
                    parameters,
                    kernel_name="python3",
                    cwd=os.getcwd(),
                    progress_bar=False,
                )
            )
        except PapermillExecutionError as error:
            sys.exit(f"{error.ename}: {error.evalue}\nthe run up to there is in {options.notebook}")


if __name__ == "__main__":
    main()
