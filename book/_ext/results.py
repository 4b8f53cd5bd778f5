"""`results-table`: means over runs, read from a results file when the book is built, so that no number is typed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from proved import table
from sphinx.application import Sphinx


def summary(
    rows: pd.DataFrame, by: str, metrics: list[str], methods: list[str], digits: int
) -> list[list[str]]:
    """A row a method: its name, how many runs, and mean ± sample standard deviation of each metric.

    Raises:
        ValueError: the file has no such column or method.
    """
    lines = []
    for method in methods or list(dict.fromkeys(rows[by])):
        found = rows[rows[by] == method]
        if found.empty:
            raise ValueError(f"there is no {by} {method!r}; there are {sorted(set(rows[by]))}")
        cells = []
        for metric in metrics:
            mean, spread = found[metric].mean(), found[metric].std()
            constant = len(found) == 1 or spread < 0.5 * 10**-digits
            cells.append(f"{mean:.{digits}f}" if constant else f"{mean:.{digits}f} ± {spread:.{digits}f}")
        lines.append([method, str(len(found)), *cells])
    return lines


class ResultsTable(Directive):
    """The argument names a CSV below book/; options choose and name columns, methods and rows."""

    required_arguments = 1
    option_spec: ClassVar = {
        "metrics": directives.unchanged_required,  # column=title, column=title
        "methods": directives.unchanged,  # comma-separated; none means all
        "by": directives.unchanged,
        "where": directives.unchanged,  # a pandas query
        "digits": directives.nonnegative_int,
    }

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        env = self.state.document.settings.env
        path = Path(env.srcdir) / "book" / self.arguments[0]
        env.note_dependency(str(path))
        rows = pd.read_csv(path)
        if "where" in self.options:
            rows = rows.query(self.options["where"])
        titles = dict(pair.split("=") for pair in self.options["metrics"].split(", "))
        methods = [name.strip() for name in self.options.get("methods", "").split(";") if name.strip()]
        by = self.options.get("by", "method")
        try:
            lines = summary(rows, by, list(titles), methods, self.options.get("digits", 3))
        except (KeyError, ValueError) as error:
            raise self.error(f"{self.arguments[0]}: {error}") from None
        # A mean and its spread stay on one line.
        whole = [[cell.replace(" ± ", "\u00a0±\u00a0") for cell in line] for line in lines]
        return [table(["method", "runs", *titles.values()], whole)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("results-table", ResultsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
