"""Draw mutants of the package with Cosmic Ray's operators: small changes of which a test should notice each.

    python torture/mutants.py --seed 0 --each 60 > mutants.json

Of each group of modules as many places are drawn, evenly over its code, then one operator at each place, so that an
operator with many variants weighs no more than another. Annotations are left out: nothing runs them.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from mutated import GROUPS

ROOT = Path(__file__).resolve().parent.parent
Place = tuple[int, int]
NEEDS_ARGUMENTS = ("core/VariableInserter", "core/VariableReplacer")


class Mutation(NamedTuple):
    """An operator of Cosmic Ray and which of its places in a file is meant."""

    operator: str
    occurrence: int


def annotations(source: str) -> list[tuple[Place, Place]]:
    """Where annotations begin and end."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            found.append(node.returns)
    spans = [expression for expression in found if expression]
    return [((e.lineno, e.col_offset), (e.end_lineno or 0, e.end_col_offset or 0)) for e in spans]


def places(source: str) -> dict[Place, list[Mutation]]:
    """What could be changed, by place."""
    tree, skipped = get_ast(source), annotations(source)
    found: dict[Place, list[Mutation]] = {}
    for name in sorted(set(operator_names()) - set(NEEDS_ARGUMENTS)):
        operator = get_operator(name)()
        positions = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, (start, _) in enumerate(positions):
            if not any(first <= start < last for first, last in skipped):
                found.setdefault(start, []).append(Mutation(name, occurrence))
    return found


def draw(sources: dict[str, str], number: int, seed: int) -> Iterator[dict[str, Any]]:
    """So many mutants, each at a place of its own."""
    dice = random.Random(seed)
    known = {module: places(source) for module, source in sources.items()}
    everywhere = [(module, place) for module in known for place in sorted(known[module])]
    dice.shuffle(everywhere)
    given = 0
    for module, place in everywhere:
        if given == number:
            return
        chosen = dice.choice(known[module][place])
        source = sources[module]
        mutated = mutant(source, chosen)
        if mutated is None:
            continue
        given += 1
        before, after = (text.splitlines()[place[0] - 1].strip() for text in (source, mutated))
        about = {"module": module, "line": place[0], "operator": chosen.operator.removeprefix("core/")}
        yield about | {"before": before, "after": after, "source": mutated}


def mutant(source: str, mutation: Mutation) -> str | None:
    """The changed source; None where the operator cannot do it, or makes the same program or none."""
    try:
        mutated = mutate_code(source, get_operator(mutation.operator)(), mutation.occurrence)
        changed = mutated and ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))
    except (AttributeError, SyntaxError):  # such as ExceptionReplacer at a name with a dot
        return None
    return mutated if changed else None


def main() -> None:
    """Parse the command line and print the mutants as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=60, help="mutants of each group of modules")
    options = parser.parse_args()
    drawn: list[dict[str, Any]] = []
    for group, modules in GROUPS.items():
        sources = {name: (ROOT / "l2rclip_lite" / name).read_text(encoding="utf-8") for name in modules}
        drawn += [{"group": group} | one for one in draw(sources, options.each, options.seed)]
    json.dump(drawn, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
