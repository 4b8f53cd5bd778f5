"""Answers to exercises of chapter 5 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

WRONG = [
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
        "05",
        """
        def wrong_way(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(0)  # over the texts: that is image to text
            own = F.one_hot(y, len(t)).T
            seen = own.sum(1) > 0
            return -((own * log_p).sum(1)[seen] / own.sum(1)[seen]).mean()

        check_text_to_image(wrong_way)
        """,
        "in place of",
    ),
    (
        "05",
        """
        def by_image(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(1)
            return -log_p[y, torch.arange(len(y))].mean()

        check_text_to_image(by_image)
        """,
        "one vote",
    ),
    (
        "05",
        """
        def per_rank(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(1)
            own = F.one_hot(y, len(t)).T
            seen = own.sum(1) > 0
            return -((own * log_p).sum(1)[seen] / own.sum(1)[seen])

        check_text_to_image(per_rank)
        """,
        "return one number",
    ),
    (
        "05",
        """
        def in_numpy(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(1).numpy()
            own = F.one_hot(y, len(t)).T.numpy()
            seen = own.sum(1) > 0
            return torch.tensor(-((own * log_p).sum(1)[seen] / own.sum(1)[seen]).mean())

        check_text_to_image(in_numpy)
        """,
        "no gradient",
    ),
    (
        "05",
        """
        def five_ranks(z, t, y, s):
            log_p = (s * t @ z.T).log_softmax(1)
            own = F.one_hot(y, 5).T
            seen = own.sum(1) > 0
            return -((own * log_p).sum(1)[seen] / own.sum(1)[seen]).mean()

        check_text_to_image(five_ranks)
        """,
        "right for five ranks",
    ),
    (
        "05",
        """
        def plain(z, t, y, r):
            d = losses.distances(z, t)
            gap = (r[y][:, None] - r).abs()
            return d[torch.arange(len(y)), y].square().mean() - (gap / gap.max() * d).mean()

        check_squared(plain)
        """,
        "pushes by d",
    ),
    (
        "05",
        """
        def by_row(z, t, y, r):  # M of each image
            squared = 2 - 2 * z @ t.T
            gap = (r[y][:, None] - r).abs()
            gap = gap / gap.amax(1, keepdim=True)
            return squared[torch.arange(len(y)), y].mean() - (gap * squared).mean()

        check_squared(by_row)
        """,
        "in place of",
    ),
    (
        "05",
        """
        def places(z, t, y, r):  # distances between places, not values
            return squared_push(z, t, y, torch.arange(len(r)).double())

        check_squared(places)
        """,
        "between values",
    ),
    (
        "05",
        """
        def to_numbers(z, t, y, r):
            return squared_push(z, t, y, r).item()

        check_squared(to_numbers)
        """,
        "no gradient",
    ),
    (
        "05",
        """
        def evenly(logits, y, r):
            at_most = logits.softmax(1).cumsum(1)[:, :-1]
            yes = y[:, None] <= torch.arange(len(r) - 1)
            return (at_most - yes.double()).square().sum(1).mean()

        check_rps_by_value(evenly)
        """,
        "for ranks [0, 1, 2, 10]",
    ),
    (
        "05",
        """
        def values(logits, y, r):  # a place compared with values
            at_most = logits.softmax(1).cumsum(1)[:, :-1]
            yes = y[:, None] <= r[:-1]
            return ((at_most - yes.double()).square() * r.diff()).sum(1).mean()

        check_rps_by_value(values)
        """,
        "for ranks [0, 4, 5, 6]",
    ),
    (
        "05",
        """
        def four_ranks(logits, y, r):
            at_most = logits.softmax(1).cumsum(1)[:, :3]
            yes = y[:, None] <= torch.arange(3)
            return ((at_most - yes.double()).square() * r.diff()[:3]).sum(1).mean()

        check_rps_by_value(four_ranks)
        """,
        "right for four ranks, but for eight",
    ),
    (
        "05",
        """
        def mean_step(logits, y, r):  # a mean over questions
            at_most = logits.softmax(1).cumsum(1)[:, :-1]
            yes = y[:, None] <= torch.arange(len(r) - 1)
            return ((at_most - yes.double()).square() * r.diff()).mean()

        check_rps_by_value(mean_step)
        """,
        "0.66 is right",
    ),
    (
        "05",
        """
        def by_loop(logits, y, r):
            at_most = logits.softmax(1).cumsum(1)
            terms = [
                (r[k + 1] - r[k]) * (at_most[:, k] - (y <= k).double()).square().mean()
                for k in range(len(r) - 1)
            ]
            return sum(terms)

        check_rps_by_value(by_loop)
        """,
        "there is a loop",
    ),
    (
        "05",
        """
        def from_the_top(logits, y, r):  # the steps in the other order
            above = logits.softmax(1).flip(1).cumsum(1)[:, :-1]
            yes = (len(r) - 1 - y)[:, None] <= torch.arange(len(r) - 1)
            return ((above - yes.double()).square() * r.diff()).sum(1).mean()

        check_rps_by_value(from_the_top)
        """,
        "1.99 is right",
    ),
    (
        "05",
        """
        def of_probabilities(logits, y, r):
            at_most = logits.exp().cumsum(1)[:, :-1]
            yes = y[:, None] <= torch.arange(len(r) - 1)
            return ((at_most - yes.double()).square() * r.diff()).sum(1).mean()

        check_rps_by_value(of_probabilities)
        """,
        "is right",
    ),
    (
        "05",
        """
        def number(logits, y, r):
            return rps_by_value(logits, y, r).item()

        check_rps_by_value(number)
        """,
        "no gradient",
    ),
    ("05", "check_weights([0.75, 0.0, 0.25, 0.5, 0.75])", "of the push is left over"),
    ("05", "check_weights([1.5, 0.0, 0.25, 0.5, 0.75])", "towards the higher ranks"),
    ("05", "check_weights([0.0, 0.25, 0.5, 0.75, 1.0])", "0 for rank 1"),
    ("05", "check_weights([0, 0.25, 0.5, 0.75])", "five numbers"),
    *(
        ("05", f"check_camps({answer!r})", lead)
        for answer, lead in (
            # the majority, as an argmax would say
            ({"plain": (1, 0, 0), "RPS": (0.6, 0, 0.4), "tightness": (1, 0, 0)}, "plain: the best"),
            # a compromise, since RPS uses the order
            ({"plain": (0.6, 0, 0.4), "RPS": (0, 1, 0), "tightness": (1, 0, 0)}, "RPS: no expert"),
            (
                {"plain": (0.6, 0, 0.4), "RPS": (0.4, 0.3, 0.3), "tightness": (1, 0, 0)},
                "RPS: no expert",
            ),
            # the median
            ({"plain": (0.6, 0, 0.4), "RPS": (1, 0, 0), "tightness": (1, 0, 0)}, "RPS: the best"),
            # honest, or halfway between the two texts
            ({"plain": (0.6, 0, 0.4), "RPS": (0.6, 0, 0.4), "tightness": (0.6, 0, 0.4)}, "s = 20"),
            (
                {"plain": (0.6, 0, 0.4), "RPS": (0.6, 0, 0.4), "tightness": (0, 1, 0)},
                "no expert said",
            ),
            ({"plain": (0.6, 0.4), "RPS": (0.6, 0.4), "tightness": (1, 0)}, "three probabilities"),
            ({"plain": (60, 0, 40), "RPS": (60, 0, 40), "tightness": (100, 0, 0)}, "sum to 1"),
            ({"plain": (0.6, 0, 0.4)}, "one entry each"),
        )
    ),
]
