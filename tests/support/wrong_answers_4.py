"""Answers to exercises of chapter 4 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

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
        class Deaf(MyRankFormer):  # no attention at all
            def shift(self, R, words):
                return self.ffn(self.norm(R))

        check_token(Deaf)
        """,
        "something differs",
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
        "04",
        """
        names = ("no", "a little", "some", "a lot of", "total")
        check_copies(names, {"token": 1, "rank": 3, "joint": 1})  # as if copies were alone
        """,
        "the words of its sentence",
    ),
    (
        "04",
        """
        names = ("no", "a little", "some", "a lot of", "total")
        check_copies(names, {"token": 5, "rank": 5, "joint": 1})  # one for each sentence
        """,
        "the words of its slot",
    ),
    (
        "04",
        """
        names = ("no", "a little", "some", "a lot of", "total")
        check_copies(names, {"token": 5, "rank": 3, "joint": 3})  # one for each slot
        """,
        "sees all words",
    ),
    (
        "04",
        """
        names = ("no", "negligible", "some", "grave", "total")  # in words, not in tokens
        check_copies(names, {"token": 5, "rank": 1, "joint": 1})
        """,
        "the words of its slot",
    ),
    (
        "04",
        """
        names = ("no", "very low", "low very", "low", "high")  # the same words in another order
        check_copies(names, {"token": 5, "rank": 2, "joint": 1})
        """,
        "in any order",
    ),
    (
        "04",
        """
        names = ("no", "minor", "medium", "major", "total")
        check_copies(names, {"token": 5, "rank": 1, "joint": 1})
        """,
        "not always in the same slot",
    ),
    (
        "04",
        "check_copies(ranks.names, {'token': 5, 'rank': 2, 'joint': 1})",
        "not those of the page",
    ),
]
