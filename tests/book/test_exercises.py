"""The checks of exercises: the right answer passes, a wrong one gets a sentence that leads on."""

import contextlib
import inspect
import io
import re
import symtable
from collections.abc import Iterator
from functools import cache
from typing import Any

import chapters
import jupytext
import pytest
import torch
from nbformat import NotebookNode
from page_rules import tags

pytestmark = pytest.mark.slow

# Chapter, an answer that looks right and is not, and words of the sentence that its reader gets.
WRONG = [
    (
        "04",
        """
        class Clamped(GateSolution):  # 0.1 at the start, between 0 and 1, and no sigmoid
            def __init__(self, D, ranks):
                super().__init__(D, ranks)
                self.gate = nn.Parameter(torch.full((ranks, 1, 1), 0.1))

            def forward(self, R, words):
                alpha = self.gate.clamp(0, 1)
                blended = (1 - alpha) * R + alpha * self.shift(R, words)
                return torch.where(words[..., None], blended, R)

        check_gate(Clamped)
        """,
        "sigmoid of its own gate",
    ),
    (
        "04",
        """
        class Detached(GateSolution):
            def forward(self, R, words):
                alpha = self.gate.detach().sigmoid()
                blended = (1 - alpha) * R + alpha * self.shift(R, words)
                return torch.where(words[..., None], blended, R)

        check_gate(Detached)
        """,
        "cannot learn",
    ),
    (
        "04",
        """
        class Turned(GateSolution):  # each rank has the gate of another one
            def forward(self, R, words):
                alpha = self.gate.sigmoid().flip(0)
                blended = (1 - alpha) * R + alpha * self.shift(R, words)
                return torch.where(words[..., None], blended, R)

        check_gate(Turned)
        """,
        "sigmoid of its own gate",
    ),
    (
        "04",
        """
        class Everywhere(GateSolution):
            def forward(self, R, words):
                alpha = self.gate.sigmoid()
                return (1 - alpha) * R + alpha * self.shift(R, words)

        check_gate(Everywhere)
        """,
        "keep torch.where",
    ),
    (
        "04",
        """
        class Flat(GateSolution):
            def __init__(self, D, ranks):
                super().__init__(D, ranks)
                self.gate = nn.Parameter(torch.zeros(ranks))

        check_gate(Flat)
        """,
        "does not fit",
    ),
    (
        "04",
        """
        class Half(GateSolution):
            def __init__(self, D, ranks):
                super().__init__(D, ranks)
                nn.init.zeros_(self.gate)

        check_gate(Half)
        """,
        "which gate",
    ),
    ("04", "check_token(MyRankFormer)", "along the ranks"),
    (
        "04",
        """
        class Unmasked(MyRankFormer):
            def shift(self, R, words):
                x = self.norm(R)
                return self.ffn(self.attend(x, x, x)[0])

        check_token(Unmasked)
        """,
        "which mask",
    ),
    (
        "04",
        """
        class RandomBias(DeepSolution):
            def __init__(self, D, depth):
                super().__init__(D, depth)
                nn.init.normal_(self.ffn[-1][2].bias)

        check_depth(RandomBias)
        """,
        "weights and bias",
    ),
    (
        "04",
        """
        class AllSilent(DeepSolution):
            def __init__(self, D, depth):
                super().__init__(D, depth)
                for ffn in self.ffn:
                    nn.init.zeros_(ffn[2].weight)

        check_depth(AllSilent)
        """,
        "only the last block",
    ),
    (
        "04",
        """
        class Beside(DeepSolution):
            def shift(self, R, words):
                x = self.norm(R).transpose(0, 1)
                ignore = ~words.T & words.T.any(1, keepdim=True)
                heard = self.attend[-1](x, x, x, key_padding_mask=ignore)[0]
                return self.ffn[-1](heard).transpose(0, 1)

        check_depth(Beside)
        """,
        "block before it",
    ),
    (
        "05",
        """
        def looped(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(1)
            return -torch.stack([log_p[k][y == k].mean() for k in y.unique()]).mean()

        check_text_to_image(looped)
        """,
        "there is a loop",
    ),
    (
        "05",
        """
        def in_numbers(z, t, y, s):
            rows = (s * t @ z.T).log_softmax(1).tolist()
            means = [sum(p for p, i in zip(row, y) if i == k) / list(y).count(k)
                     for k, row in enumerate(rows) if k in list(y)]
            return -sum(means) / len(means)

        check_text_to_image(in_numbers)
        """,
        "no gradient",
    ),
    (
        "05",
        """
        def every_rank(z, t, y, s):
            own = F.one_hot(y, len(t)).T
            log_p = (s * t @ z.T).log_softmax(1)
            return -((own * log_p).sum(1) / own.sum(1)).mean()

        check_text_to_image(every_rank)
        """,
        "leave that text out",
    ),
    *(
        (
            "05",
            f"""
            def rooted(z, t, y, r):
                squared = {squared}
                gap = (r[y][:, None] - r).abs()
                pull = squared[torch.arange(len(y)), y].mean()
                return pull - (gap / gap.max() * squared).mean()

            check_squared(rooted)
            """,
            "is a root",
        )
        for squared in (
            "torch.cdist(z, t) ** 2",
            "losses.distances(z, t).square()",
            "((2 - 2 * z @ t.T).clamp_min(0) ** 0.5) ** 2",
            "(2 - 2 * z @ t.T).clamp_min(0).sqrt().square()",
            "(z[:, None] - t).norm(dim=2).square()",
            "torch.linalg.norm(z[:, None] - t, dim=2).square()",
        )
    ),
    (
        "06",
        """
        class Frozen(RankFormer):
            def __init__(self, width, ranks):
                super().__init__(width)
                self.alpha = nn.Parameter(torch.full((ranks, 1, 1), 0.1), requires_grad=False)

        check_gate(Frozen)
        """,
        "cannot learn",
    ),
    (
        "06",
        """
        class Row(RankFormer):
            def __init__(self, width, ranks):
                super().__init__(width)
                self.alpha = nn.Parameter(torch.full((ranks,), 0.1))

        check_gate(Row)
        """,
        "alpha of shape (5,) does not fit",
    ),
    ("06", "check_perfect([0.0, 0.9, 0.0])", "which sum to 1"),
    ("06", "check_perfect([0.5, 0.3, 0.2])", "the expectation is 0.70"),
    ("06", "check_perfect([0.01, 0.98, 0.01])", "spread them"),
    (
        "06",
        """
        def by_likelihood(logits, y):
            grid = torch.logspace(math.log10(0.05), math.log10(20), 600)
            scores = [F.cross_entropy(logits / T, y) for T in grid]
            return grid[int(torch.stack(scores).argmin())]

        check_temperature(by_likelihood)
        """,
        "is it RPS?",
    ),
    (
        "06",
        """
        ours_alone = fit_temperature(s * encode(towers, val[0]) @ t.T, val[1])
        check_temperature(lambda logits, y: ours_alone)
        """,
        "fifteen answers",
    ),
    ("09", "check_judge(lambda images: compare_pairs(images, CLAIMS).head(2))", "three claims"),
    (
        "09",
        """
        def turned(images):
            pairs = {row: pair[::-1] for row, pair in CLAIMS.items()}
            return compare_pairs(images.assign(rps=images["error"]), pairs)

        check_judge(turned)
        """,
        "a gain of",
    ),
]
JUDGED = sorted({number for number, *_ in WRONG})


def global_names(table: symtable.SymbolTable) -> set[str]:
    """Return the names that code, or what is defined in it, takes from outside its functions."""
    is_module = table.get_type() == "module"
    names = set()
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            names.add(symbol.get_name())
    return names.union(*map(global_names, table.get_children()))


def code_of(cell: NotebookNode) -> str:
    """Return a cell's code at the smallest profile, without magics and results of studies."""
    code = re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)
    code = code.replace('PROFILE = "page"', 'PROFILE = "smoke"')
    return code.replace('RESULTS = ""', 'RESULTS = "nowhere"')


def needed(cells: list[NotebookNode], targets: list[NotebookNode]) -> list[NotebookNode]:
    """Return the cells on whose names the targets depend, directly or not, and the targets."""
    names: set[str] = set()
    kept = []
    for cell in reversed(cells):
        table = symtable.symtable(code_of(cell), "", "exec")
        defined = {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_assigned() or symbol.is_imported()
        }
        if cell in targets or defined & names:
            names |= global_names(table)
            kept.append(cell)
    return kept[::-1]


def output_of(code: str, names: dict[str, Any]) -> str:
    """Return what a piece of code prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, names)
    return output.getvalue()


class Exercises:
    """The exercises of a chapter, after the cells that they need.

    `names` are those that the chapter defines; `solutions` and `drafts` are the verdicts of the
    checks on the answers that the page unfolds, and on those that it shows.
    """

    def __init__(self, number: str) -> None:
        page = jupytext.read(chapters.sources([number])[0]).cells
        start = next(i for i, cell in enumerate(page) if "## Exercises" in cell.source)
        cells = [cell for cell in page if cell.cell_type == "code"]
        judging = [
            cell for cell in page[start:] if re.search(r"^check_|^def check_", cell.source, re.M)
        ]

        self.names: dict[str, Any] = {"__name__": f"chapter {number}"}
        self.solutions: list[str] = []
        self.drafts: list[str] = []
        for cell in needed(cells, judging):
            verdict = output_of(code_of(cell), self.names)
            if not re.search(r"^check_", cell.source, re.MULTILINE):
                continue
            if "hide-cell" in tags(cell):
                self.solutions.append(verdict)
            else:
                self.drafts.append(verdict)
        self.precision = torch.get_default_dtype()


exercises = cache(Exercises)


@pytest.fixture
def chapter(number: str) -> Iterator[Exercises]:
    """Return the chapter of a test, with its default precision for as long as the test runs."""
    precision = torch.get_default_dtype()
    try:
        chapter = exercises(number)
        torch.set_default_dtype(chapter.precision)
        yield chapter
    finally:
        torch.set_default_dtype(precision)


@pytest.mark.parametrize("number", JUDGED)
def test_the_books_answers_are_right_and_its_drafts_are_not(chapter: Exercises) -> None:
    """A page shows each exercise with a draft, and unfolds an answer."""
    assert len(chapter.solutions) >= 2
    for verdict in chapter.solutions:
        assert verdict.startswith("right")
    for verdict in chapter.drafts:
        assert "not yet" in verdict


@pytest.mark.parametrize(("number", "answer", "lead"), WRONG)
def test_a_wrong_answer_is_refused_and_its_reader_led_on(
    chapter: Exercises, answer: str, lead: str
) -> None:
    """Also one with the right numbers, by a way that the exercise forbids."""
    verdict = output_of(inspect.cleandoc(answer), dict(chapter.names))
    assert verdict.startswith("not yet")
    assert lead in " ".join(verdict.split())
