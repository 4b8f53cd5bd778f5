"""Answers to exercises of chapter 6 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

WRONG = [
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
        class Without(Gated):
            @torch.no_grad()
            def forward(self, R, words):
                return super().forward(R, words)

        check_gate(Without)
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
    (
        "06",
        """
        class Buffer(RankFormer):
            def __init__(self, width, ranks):
                super().__init__(width)
                del self.alpha
                self.register_buffer("alpha", torch.full((ranks, 1, 1), 0.1))

        check_gate(Buffer)
        """,
        "cannot learn",
    ),
    (
        "06",
        """
        class Tokens(RankFormer):
            def __init__(self, width, ranks):
                super().__init__(width)
                self.alpha = nn.Parameter(torch.full((1, ranks, 1), 0.1))

        check_gate(Tokens)
        """,
        "does not fit",
    ),
    (
        "06",
        """
        class Listed(RankFormer):
            def __init__(self, width, ranks):
                super().__init__(width)
                self.alpha = [0.1] * ranks

        check_gate(Listed)
        """,
        "cannot assign 'list'",
    ),
    (
        "06",
        """
        class Unmasked(RankFormer):
            def forward(self, R, words):
                x = self.norm(R)
                x = self.attend(x, x, x)[0]
                blended = (1 - self.alpha) * R + self.alpha * self.ffn(x)
                return torch.where(words[..., None], blended, R)

        check_axis(Unmasked)
        """,
        "look at the mask",
    ),
    (
        "06",
        """
        class Inverted(RankFormer):
            def forward(self, R, words):
                x = self.norm(R)
                x = self.attend(x, x, x, key_padding_mask=words)[0]
                blended = (1 - self.alpha) * R + self.alpha * self.ffn(x)
                return torch.where(words[..., None], blended, R)

        check_axis(Inverted)
        """,
        "look at the mask",
    ),
    (
        "06",
        """
        class Transposed(RankFormer):
            def forward(self, R, words):
                x = self.norm(R).transpose(0, 1)
                x = self.attend(x, x, x)[0].transpose(0, 1)
                blended = (1 - self.alpha) * R + self.alpha * self.ffn(x)
                return torch.where(words[..., None], blended, R)

        check_axis(Transposed)
        """,
        "noticed",
    ),
    (
        "06",
        """
        def with_diagonal(z, t, y, r):
            own, label = t[y], r[y]
            gap = (label[:, None] - label).abs()
            weight = (gap - gap.min()) / gap.max().clamp_min(1e-12)
            push = distance(z, own) + distance(own, own) / 2
            return tightness(z, t, y) / 2 - (weight * push).mean()

        check_pairs(with_diagonal)
        """,
        "no image pairs with itself",
    ),
    (
        "06",
        """
        def places(z, t, y, r):
            return all_pairs(z, t, y, torch.arange(len(r)).float())

        check_pairs(places)
        """,
        "gaps are between values",
    ),
    (
        "06",
        """
        def silent(z, t, y, r):
            all_pairs(z, t, y, r)

        check_pairs(silent)
        """,
        "a gradient flows",
    ),
    (
        "06",
        """
        def as_number(z, t, y, r):
            return all_pairs(z, t, y, r).item()

        check_pairs(as_number)
        """,
        "a gradient flows",
    ),
    (
        "06",
        """
        def by_place(logits, y, r):
            places = torch.arange(len(r)).float()
            return (logits.softmax(1) @ places - y).square().mean()

        check_expectation(by_place)
        """,
        "values, not places",
    ),
    (
        "06",
        """
        def label_as_value(logits, y, r):
            return (logits.softmax(1) @ r - y).square().mean()

        check_expectation(label_as_value)
        """,
        "values, not places",
    ),
    (
        "06",
        """
        def silent(logits, y, r):
            (logits.softmax(1) @ r - r[y]).square().mean()

        check_expectation(silent)
        """,
        "a gradient flows",
    ),
    (
        "06",
        """
        def in_numpy(logits, y, r):
            return (logits.softmax(1) @ r - r[y]).square().mean().item()

        check_expectation(in_numpy)
        """,
        "a gradient flows",
    ),
    ("06", "check_perfect([0.5, 0.0, 0.4])", "which sum to 1"),
    ("06", "check_perfect([1.0, -1.0, 1.0])", "which sum to 1"),
    ("06", "check_perfect([0.5, 0.5])", "three probabilities"),
    (
        "06",
        """
        def on_accuracy(logits, y):
            grid = torch.logspace(math.log10(0.05), math.log10(20), 600)
            scores = [((logits / T).argmax(1) != y).float().mean() for T in grid]
            return grid[int(torch.stack(scores).argmin())]

        check_temperature(on_accuracy)
        """,
        "is it RPS?",
    ),
    (
        "06",
        """
        def times(logits, y):  # T as a factor
            grid = torch.logspace(math.log10(0.05), math.log10(20), 600)
            scores = [rps(logits * T, y) for T in grid]
            return grid[int(torch.stack(scores).argmin())]

        check_temperature(times)
        """,
        "go higher",
    ),
    (
        "06",
        """
        def silent(logits, y):
            temperature(logits, y)

        check_temperature(silent)
        """,
        "return T",
    ),
    ("06", "check_closest(lambda names, kind: 1.0)", "with itself"),
    (
        "06",
        """
        def of_all(names, kind):  # also of ranks that are no neighbours
            t = kind(start, start.tokenize([template.replace("{rank}", n) for n in names]))
            t = t.eval()(start).detach()
            return float((t @ t.T - 2 * torch.eye(len(t))).max())

        check_closest(of_all)
        """,
        "neighbours only",
    ),
    (
        "06",
        """
        def average(names, kind):
            t = kind(start, start.tokenize([template.replace("{rank}", n) for n in names]))
            t = t.eval()(start).detach()
            return float((t[:-1] * t[1:]).sum(1).mean())

        check_closest(average)
        """,
        "not the mean",
    ),
    (
        "06",
        """
        def bare(names, kind):  # names without their sentence
            t = kind(start, start.tokenize(list(names))).eval()(start).detach()
            return float((t[:-1] * t[1:]).sum(1).max())

        check_closest(bare)
        """,
        "the five words",
    ),
    (
        "06",
        """
        def always_plain(names, kind):
            return closest(names, RankPrompts)

        check_closest(always_plain)
        """,
        "CentredPrompts",
    ),
]
