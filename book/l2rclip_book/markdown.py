"""Tables that a cell of a chapter prints as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def _cell(content: object) -> str:
    """Return the content of a cell as one line of Markdown."""
    one_line = " ".join(str(content).split())
    return one_line.replace("|", r"\|")


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = False
) -> str:
    r"""Return a table as Markdown, whatever its cells hold.

    A line of a Markdown table ends at the first line break, and a cell at the first `|`. So a line
    break in a cell becomes a space, and a `|` is escaped.

    Args:
        head: The title of each column.
        rows: The cells of each row, as many as there are titles.
        numbers: Whether all columns but the first hold numbers, which stand at the right.

    Raises:
        ValueError: A row has more or fewer cells than the head.

    Example:
        >>> print(markdown_table(["setting", "meaning"], [["alpha", "strength\nof |R'|"]]))
        | setting | meaning |
        | --- | --- |
        | alpha | strength of \|R'\| |
    """
    lines = [_line([_cell(title) for title in head])]
    other_columns = ["--:" if numbers else "---"] * (len(head) - 1)
    lines.append(_line(["---", *other_columns]))

    for row in rows:
        if len(row) != len(head):
            problem = f"a row of {len(row)} cells in a table of {len(head)} columns"
            raise ValueError(f"{problem}: {list(row)}")
        lines.append(_line([_cell(content) for content in row]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
