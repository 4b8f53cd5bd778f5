"""The playground's JavaScript, run by node, and what its page says."""

import contextlib
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import chapters
import pytest

FOLDER = chapters.ROOT / "book" / "_static" / "playground"
PAGE = chapters.ROOT / "book" / "playground.md"
MODULES = ("losses", "ordinality", "state")


def node() -> str:
    """The program, or a skip with the reason."""
    found = shutil.which("node")
    return (
        found
        if found
        else pytest.skip("node is not installed: the formulas in JavaScript are not tested")
    )


def js(expression: str, **values: Any) -> Any:
    """The value of a function over the modules, called with `values`."""
    imports = [
        f"import * as {name} from {json.dumps((FOLDER / f'{name}.mjs').as_uri())};"
        for name in MODULES
    ]
    read = "const given = JSON.parse(await new Response(process.stdin).text());"
    script = "\n".join([*imports, read, f"console.log(JSON.stringify(({expression})(given)));"])
    command = [node(), "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def first_hits(site: Path, queries: list[str]) -> list[str]:
    """The page that a built book's own search lists first for each query, without a browser."""
    files = ("_static/language_data.js", "_static/searchtools.js", "searchindex.js")
    stub = """const DOCUMENTATION_OPTIONS = {}, SPHINX_HIGHLIGHT_ENABLED = false, _ready = () => {}, _ = text => text;
        const document = {getElementById: () => null};"""
    ask = f"""console.log(JSON.stringify({json.dumps(queries)}.map(
        query => Search._performSearch(...Search._parseQuery(query)).at(-1)?.[0] ?? null)));"""
    script = "\n;".join([stub, *((site / name).read_text(encoding="utf-8") for name in files), ask])
    done = subprocess.run([node(), "-"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def printed(script: str) -> str:
    """What a Python script prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "snippet", "exec"), {"__name__": "snippet"})
    return out.getvalue().strip()


def buttons(part: str) -> list[str]:
    """The states behind the buttons in the page's prose, of one of the two parts."""
    found = re.findall(
        rf'data-part="{part}" data-state="([^"]+)"', PAGE.read_text(encoding="utf-8")
    )
    return [html.unescape(state) for state in found]
