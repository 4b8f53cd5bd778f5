"""The reference, read from the package's source when the book is built.

`api` takes a module and, if not all of it is wanted, names; it writes each docstring as Markdown
below its signature. `settings` makes the table of a class of `config.py`, `presets` the one of its
presets. All that these describe are objects of Sphinx's Python domain, so the search finds them,
and a name in code font links to them wherever it stands in the book.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from importlib import import_module
from typing import Any

from docutils import nodes
from pydantic import TypeAdapter
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from l2rclip_book.results import markdown_table
from l2rclip_lite.config import PRESETS, Config, Controls, LossWeights

PACKAGE = "l2rclip_lite"
LABELS = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Returns": "Returns",
    "Raises": "Errors",
    "Example": "Example",
}
SECTION = re.compile(rf"^({'|'.join(LABELS)}):\n", re.MULTILINE)
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def markdown(doc: str) -> str:
    r"""Return a Google docstring as Markdown: labels, lists of names, the example as code.

    Example:
        >>> markdown("Half of x.\n\nArgs:\n    x: A number.").splitlines()
        ['Half of x.', '', '**Arguments**', '', '- `x`: A number.']
    """
    intro, *parts = SECTION.split(inspect.cleandoc(doc) + "\n")
    made = [intro]
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        text = textwrap.dedent(body).strip()
        if section == "Example":
            text = f"```pycon\n{text}\n```"
        elif section != "Returns":
            text = re.sub(r"^([\w.]+): ", r"- `\1`: ", text, flags=re.MULTILINE)
        made.append(f"**{LABELS[section]}**\n\n{text}")
    return "\n\n".join(part.strip() for part in made)


def parameters(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return what stands between the brackets of a call.

    For a class these are the arguments of `__init__`, or the fields of a dataclass.
    """
    if isinstance(node, ast.FunctionDef):
        return re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return parameters(inner)
    plain = "dataclass" in " ".join(map(ast.unparse, node.decorator_list)) and not meanings(node)
    return ", ".join(
        ast.unparse(field) for field in node.body if plain and isinstance(field, ast.AnnAssign)
    )


def meanings(node: ast.ClassDef) -> dict[str, str]:
    """The docstring below each field of a class."""
    return {
        ast.unparse(field.target): inspect.cleandoc(doc.value.value)
        for field, doc in itertools.pairwise(node.body)
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr)
    }


def described(node: ast.FunctionDef | ast.ClassDef, method: bool = False) -> str:
    """A function, or a class with its methods, as a directive of the Python domain."""
    kind = "method" if method else "function"
    options = ""
    fence = "````"
    inner: list[str] = []
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    signature = f"{node.name}({parameters(node)})"
    if isinstance(node, ast.ClassDef):
        kind = "class"
        fence = "`````"
        inner = [described(part, method=True) for part in public(node)]
    elif "property" in decorators:
        kind = "property"
        signature = node.name
    elif node.returns is not None:
        signature += f" -> {ast.unparse(node.returns)}"
    if "classmethod" in decorators:
        options = ":classmethod:\n"
    text = "\n\n".join([markdown(ast.get_docstring(node) or ""), *inner])
    return f"{fence}{{py:{kind}}} {signature}\n{options}\n{text}\n{fence}"


def public(parent: ast.Module | ast.ClassDef) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return what a reader may call: it has no underscore, and a docstring of its own."""
    return [
        node
        for node in parent.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (ast.get_docstring(node) or "See `").startswith("See `")
    ]


def aliases(tree: ast.Module) -> dict[str, str]:
    """The names that a module gives to types, such as `Batch` for `Float[Tensor, "batch dim"]`."""
    names = {}
    for node in tree.body:
        is_named = isinstance(node, ast.Assign | ast.AnnAssign)
        if is_named and isinstance(node.value, ast.Subscript | ast.BinOp):
            name, _, meaning = ast.unparse(node).partition(" = ")
            names[name.removesuffix(": TypeAlias")] = meaning
    return names


class Api(SphinxDirective):
    """Show the public names of a module, or those that stand after it, below its docstring.

    A module of the book is written with its package.
    """

    required_arguments = 1
    optional_arguments = 99

    def run(self) -> list[nodes.Node]:
        """Parse the page that the module's source makes."""
        name, *wanted = self.arguments
        if not name.startswith("l2rclip_book."):
            name = f"{PACKAGE}.{name}"
        tree = ast.parse(inspect.getsource(import_module(name)))
        offered = {node.name: described(node) for node in public(tree)}
        chosen = [offered[each] for each in wanted or offered]

        blocks = [f"```{{py:currentmodule}} {name}\n```"]
        if not wanted:
            blocks.append(markdown(ast.get_docstring(tree) or ""))
        types = []
        for alias, meaning in aliases(tree).items():
            if re.search(rf"(?:: |> |\| ){alias}\b", " ".join(chosen)):
                types.append(f"`{alias}` is `{meaning}`")
        if types:
            blocks.append(f"*Types:* {'; '.join(types)}.")
        return self.parse_text_to_nodes("\n\n".join([*blocks, *chosen]))


def allowed(field: dict[str, Any]) -> str:
    """What a field may be, from its JSON schema.

    Example:
        >>> allowed({"type": "integer", "minimum": 0, "exclusiveMaximum": 100_000})
        'whole number, ≥ 0, < 100,000'
    """
    field = next((kind for kind in field.get("anyOf", []) if kind["type"] != "null"), field)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = {
        "integer": "whole number",
        "number": "number",
        "boolean": "`True`, `False`",
        "string": "text",
    }[field["type"]]
    bounds = [f"{sign} {field[key]:,}" for key, sign in BOUNDS.items() if key in field]
    return ", ".join([kind, *(bound.removesuffix(".0") for bound in bounds)])


class Settings(SphinxDirective):
    """Show the table of `Config` or `Controls`: fields, defaults, values and meanings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table, and make each name known to the Python domain."""
        kind = {"Config": Config, "Controls": Controls}[self.arguments[0]]
        docs = meanings(ast.parse(inspect.getsource(kind)).body[0])
        rows = []
        for name, field in TypeAdapter(kind).json_schema()["properties"].items():
            if "$ref" in field:  # the other table
                continue
            anchor = nodes.make_id(f"{kind.__name__}-{name}")
            self.env.domains["py"].note_object(
                f"{PACKAGE}.config.{kind.__name__}.{name}", "attribute", anchor
            )
            default = "by the preset" if name in LossWeights._fields else f"`{field['default']}`"
            rows.append([f"[`{name}`]{{#{anchor}}}", default, allowed(field), docs[name]])

        made = self.parse_text_to_nodes(
            markdown_table(["setting", "default", "values", "meaning"], rows)
        )
        made[0]["classes"].append("settings")
        return made


class Presets(SphinxDirective):
    """The presets side by side."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        fields = [f"`{name}`" for name in LossWeights._fields]
        rows = list(zip(fields, *PRESETS.values(), strict=True))
        return self.parse_text_to_nodes(
            markdown_table(["setting", *(f"`{name}`" for name in PRESETS)], rows)
        )


def targets(objects: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Page and anchor of each way in which prose may write a name of the package.

    A setting is written with its class (`Config.alpha`); alone (`lr1`) only where it is no word of
    everyday code.
    """
    places = {}
    for full, entry in objects.items():
        *_, owner, name = parts = full.split(".")
        at = entry.docname, entry.node_id
        places |= {full: at, f"{owner}.{name}": at}
        if entry.objtype in ("function", "class"):
            places |= {name: at, f"{parts[0]}.{name}": at}
        elif entry.objtype == "attribute" and re.search(r"[_\d]", name):
            places.setdefault(name, at)
    return places


class LinkNames(SphinxPostTransform):
    """A public name in code font becomes a link to its place in the reference."""

    default_priority = 200

    def run(self, **kwargs: Any) -> None:
        """Wrap the literals of this page."""
        places = targets(self.env.domains["py"].objects)
        for literal in list(self.document.findall(nodes.literal)):
            name = re.fullmatch(r"([\w.]+)(?:\(.*\))?", literal.astext(), re.DOTALL)
            page, anchor = places.get(name[1] if name else "", ("", ""))
            here = (
                isinstance(literal.parent, nodes.reference | nodes.title)
                or anchor in literal.parent["ids"]
            )
            if not page or here:
                continue
            link = make_refnode(
                self.app.builder, self.env.docname, page, anchor, literal.deepcopy()
            )
            literal.replace_self(link)


def _resolve(
    app: Sphinx, env: Any, node: nodes.Element, text: nodes.Element
) -> nodes.Element | None:
    """Link a class in a signature to its place, too; one of another package stays as it is."""
    if node.get("refdomain") != "py":
        return None
    at = targets(env.domains["py"].objects).get(node["reftarget"])
    return make_refnode(app.builder, node["refdoc"], *at, text) if at else text


def setup(app: Sphinx) -> None:
    """Register the directives and the transform with Sphinx."""
    app.add_directive("api", Api)
    app.add_directive("settings", Settings)
    app.add_directive("presets", Presets)
    app.add_post_transform(LinkNames)
    app.connect("missing-reference", _resolve)
