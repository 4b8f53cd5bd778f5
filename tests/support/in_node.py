"""The playground's JavaScript, run by node, and the states and snippets of its page."""

import contextlib
import html
import io
import json
import re
import shutil
import subprocess
from typing import Any

import chapters
import pytest

FOLDER = chapters.ROOT / "book" / "_static" / "playground"
PAGE = chapters.ROOT / "book" / "playground.md"
MODULES = ("losses", "ordinality", "state")


def run_node(options: list[str], stdin: str) -> Any:
    """Return the JSON that node prints, or skip the test with the reason."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed: the formulas in JavaScript are not tested")
    done = subprocess.run([program, *options], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def js(expression: str, **values: object) -> Any:
    """Return the value of a JavaScript function over the modules.

    Args:
        expression: The function, of one object that is taken apart: `({ a, b }) => a + b`.
        values: The entries of that object.
    """
    lines = []
    for name in MODULES:
        address = json.dumps((FOLDER / f"{name}.mjs").as_uri())
        lines.append(f"import * as {name} from {address};")
    lines.append("const values = JSON.parse(await new Response(process.stdin).text());")
    lines.append(f"console.log(JSON.stringify(({expression})(values)));")

    return run_node(["--input-type=module", "--eval", "\n".join(lines)], json.dumps(values))


def printed(script: str) -> str:
    """Return what a Python script prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "snippet", "exec"), {"__name__": "snippet"})
    return out.getvalue().strip()


def buttons(part: str) -> list[str]:
    """Return the states behind the buttons in the page's prose, of one of its two parts."""
    page = PAGE.read_text(encoding="utf-8")
    states = re.findall(rf'data-part="{part}" data-state="([^"]+)"', page)
    return [html.unescape(state) for state in states]
