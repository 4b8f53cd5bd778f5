"""Answers to exercises of chapters 7 and 8 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

# A right answer to the first exercise of chapter 8. Below: a part of it, what a reader has in its
# place, and words of the verdict.
FILE = """
DATASET: csv
DATA_OPTIONS:
  ranks: fresh,ripe,overripe
  template: a photo of a {rank} banana
BATCH_SIZE: 8
SETTINGS: {lr1: 0.001}
BASELINES: [ridge, cross-entropy]
"""
CHANGES = [
    ("fresh,ripe,", "ripe,fresh,", "the ranks are others"),
    (" banana", "", "no sentence speaks of a banana"),
    ("  template: a photo of a {rank} banana\n", "", "no sentence speaks of a banana"),
    ("a {rank} banana", "a banana", "holds {rank} 0 times"),
    ("SETTINGS: {lr1: 0.001}", "LR1: 0.001", "parameter LR1 is unknown"),
    ("{lr1: 0.001}", "{lr2: 0.001}", "lr1, in SETTINGS"),
    ("{lr1: 0.001}", "lr1=0.001", "SETTINGS is no dict: 'lr1=0.001'"),
    (" {lr1: 0.001}", "\n  - lr1: 0.001", "SETTINGS is no dict"),
    ("{lr1: 0.001}", "", "SETTINGS is no dict"),
    ("[ridge, cross-entropy]", "ridge", "BASELINES is no list"),
    ("cross-entropy", "logistic", "logistic"),
    (", cross-entropy", "", "BASELINES lacks one"),
    ("BATCH_SIZE: 8", "BATCH: 8", "did you mean BATCH_SIZE?"),
    ("BATCH_SIZE: 8\n", "", "BATCH_SIZE is not 8"),
    ("DATASET: csv\n", "", "DATASET is not csv"),
    (FILE, "DATASET = csv", "such as DATASET: csv"),
]

WRONG = [
    (
        "07",
        """
        def with_itself(x, y):
            gap, far = np.abs(y[:, None] - y), 1 - x @ x.T
            nearer = gap[:, :, None] < gap[:, None, :]
            return (far[:, :, None] < far[:, None, :])[nearer].mean()

        check_triples(with_itself)
        """,
        "compared with itself",
    ),
    (
        "07",
        """
        def by_image(x, y):  # a mean over images of their shares
            gap, far = np.abs(y[:, None] - y), 1 - x @ x.T
            nearer = gap[:, :, None] < gap[:, None, :]
            nearer &= ~np.eye(len(y), dtype=bool)[:, :, None]
            right = far[:, :, None] < far[:, None, :]
            return np.mean([a[b].mean() for a, b in zip(right, nearer) if b.any()])

        check_triples(by_image)
        """,
        "10 triples with unequal gaps; the share of right ones is 0.6, yours is 0.62",
    ),
    (
        "07",
        """
        def by_place(x, y):  # the places of the images in place of their ranks
            return triples(x, np.arange(len(y)))

        check_triples(by_place)
        """,
        "10 triples",
    ),
    (
        "07",
        """
        def upwards(x, y):  # only i < j < l
            far, n = 1 - x @ x.T, len(y)
            right = [
                far[i, j] < far[i, l]
                for i in range(n) for j in range(i + 1, n) for l in range(j + 1, n)
                if abs(y[i] - y[j]) < abs(y[i] - y[l])
            ]
            return np.mean(right)

        check_triples(upwards)
        """,
        "10 triples",
    ),
    (
        "07",
        """
        def one_each(x, y):  # a share for each image
            gap, far = np.abs(y[:, None] - y), 1 - x @ x.T
            nearer = gap[:, :, None] < gap[:, None, :]
            nearer &= ~np.eye(len(y), dtype=bool)[:, :, None]
            right = far[:, :, None] < far[:, None, :]
            return (right & nearer).sum((1, 2)) / nearer.sum((1, 2)).clip(1)

        check_triples(one_each)
        """,
        "one number",
    ),
    (
        "07",
        """
        def unpenalised(x, y):
            x, y = x - x.mean(0), y - y.mean()
            return np.linalg.lstsq(x, y, rcond=None)[0]

        check_axis(unpenalised)
        """,
        "it needs a penalty",
    ),
    (
        "07",
        """
        def ends(x, y):  # from the lowest rank to the highest
            return x[y == y.max()].mean(0) - x[y == y.min()].mean(0)

        check_axis(ends)
        """,
        "think of regression",
    ),
    (
        "07",
        """
        def with_intercept(x, y):
            x = np.hstack([np.ones((len(x), 1)), x])
            return np.linalg.solve(x.T @ x + 0.3 * np.eye(x.shape[1]), x.T @ y)

        check_axis(with_intercept)
        """,
        "one direction",
    ),
    (
        "07",
        """
        def all_images(x, y):  # has seen the other half
            x, y = images[START], labels
            x, y = x - x.mean(0), y - y.mean()
            return np.linalg.solve(x.T @ x + 0.3 * np.eye(x.shape[1]), x.T @ y)

        check_axis(all_images)
        """,
        "use the ranks that it is given",
    ),
    (
        "07",
        """
        def downwards(x, y):
            x, y = x - x.mean(0), y.mean() - y
            return np.linalg.solve(x.T @ x + 0.3 * np.eye(x.shape[1]), x.T @ y)

        check_axis(downwards)
        """,
        "should rise with the rank",
    ),
    ("07", 'check_lie({"neighbours": 15, "min_dist": 0.5})', "short lists of neighbours"),
    ("07", 'check_lie({"neighbours": 60, "min_dist": 0.1})', "short lists of neighbours"),
    ("07", 'check_lie({"neighbours": 1, "min_dist": 0.0})', "neighbours from 2 to"),
    ("07", 'check_lie({"neighbors": 3, "min_dist": 0.0})', "neighbors"),
    ("07", 'check_lie({"neighbours": 15, "min_dist": -1})', "min_dist from 0 to 1"),
    *(
        ("07", f"check_days({answer})", lead)
        for answer, lead in (
            # nothing is there, so nothing shows
            ("dict(predicted)", "their rank gap is 0"),
            # heaps taken for an order
            ("predicted | {'gap score': 0.9, 'other half': 0.9}", "equally far apart"),
            # as for random points
            ("predicted | {'gap score': 0.25}", "the same ten days"),
            ("predicted | {'gap score': 0.25, 'other half': 0.5}", "the same ten days"),
            # what held on the other half will hold
            ("dict(zip(predicted, (0.25, 0.95, 0.9)))", "their light points elsewhere"),
            ("dict(zip(predicted, (0.25, 0.95, -0.9)))", "the wrong way"),
            ("predicted | {'gap score': 'little'}", "write a number"),
            ("{'gap score': 0.25, 'other half': 0.95}", "one number each"),
        )
    ),
    *(
        ("08", f'check_file("""{FILE.replace(right, wrong)}""")', lead)
        for right, wrong, lead in CHANGES
    ),
    (
        "08",
        """
        def whole_hours(work, rate, price, folds, seeds):
            return folds * seeds * (work // rate // 3600) * price

        check_money(whole_hours)
        """,
        "of an hour and a half",
    ),
    (
        "08",
        """
        def added(work, rate, price, folds, seeds):
            return (folds + seeds) * work / rate / 3600 * price / 2

        check_money(added)
        """,
        "15 runs",
    ),
    (
        "08",
        """
        def in_tera(work, rate, price, folds, seeds):  # the rate of the example, whatever the card
            return folds * seeds * work / 1e12 / 3600 * price

        check_money(in_tera)
        """,
        "15 runs",
    ),
    (
        "08",
        """
        def in_seconds(work, rate, price, folds, seeds):
            return folds * seeds * work / rate * price

        check_money(in_seconds)
        """,
        "3,600 seconds",
    ),
    (
        "08",
        """
        def printed(work, rate, price, folds, seeds):
            return f"{folds * seeds * work / rate / 3600 * price:.2f}"

        check_money(printed)
        """,
        "return a number",
    ),
    (
        "08",
        """
        def unsorted(one, two):
            a, b = one["config"], two["config"]
            return {key for key in sorted(a) if a[key] != b[key]}

        check_difference(unsorted)
        """,
        "a sorted list",
    ),
    (
        "08",
        """
        def silent(one, two):
            a, b = one["config"], two["config"]
            names = sorted(key for key in a if a[key] != b[key])

        check_difference(silent)
        """,
        "a sorted list",
    ),
    (
        "08",
        """
        def other_objects(one, two):
            a, b = one["config"], two["config"]
            return sorted(key for key in a if a[key] is not b[key])

        check_difference(other_objects)
        """,
        "name by name",
    ),
    (
        "08",
        """
        def roughly(one, two):
            a, b = one["config"], two["config"]
            return sorted(key for key in a if str(a[key])[:4] != str(b[key])[:4])

        check_difference(roughly)
        """,
        "name by name",
    ),
    (
        "08",
        """
        def outermost(one, two):
            return sorted(key for key in one if one[key] != two[key])

        check_difference(outermost)
        """,
        'under "config"',
    ),
    (
        "08",
        """
        def without_zero(one, two):  # a value of 0 counts as none
            a, b = one["config"], two["config"]
            return sorted(key for key in a if a[key] and b[key] and a[key] != b[key])

        check_difference(without_zero)
        """,
        "name by name",
    ),
    *(
        ("08", f"check_spread(dict(zip(WHY, {mine})))", lead)
        for mine, lead in (
            ((0.2, 0.2, 0.02, 0.02), "add up by their squares"),  # seeds do not count
            ((0.34, 0.21, 0.16, 0.03), "add up by their squares"),  # deviations are added
            (
                (0.245, 0.0245, 0.0245, 0.00245),
                "the same twenty images",
            ),  # by the number of answers
            ((0.24, 0.24, 0.14, 0.02), "the same twenty images"),  # seeds bring nothing
            ((0.24, 0.2, 0.02, 0.02), "one and the same training run"),  # images settle it
            ((0.24, 0.2, 0.2, 0.02), "one and the same training run"),
            ((0.24, 0.2, 0.14, 0), "neither is zero"),
            ((0.24, 0.2, 0.14, "none"), "write a number"),
            ((0.24, 0.2), "one number each"),
        )
    ),
]
