"""Answers to exercises of chapters 9, 10 and 20 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

# Options for the colleague's table of chapter 10, and what is added to them.
TABLE = {"labels": "trauben.csv", "path_column": "Bild", "label_column": "Note"}
NAMES = {"ranks": "fresh,ripe,overripe", "labels_are": "position"}
OPTIONS = [
    ({"group_column": "Traube"}, "the ranks are one, two, three"),
    (NAMES, "which bunch is shown"),
    (NAMES | {"group": "Traube"}, "group: there is no such option"),
    (NAMES | {"split_column": "Traube"}, "the split 'T0' is none of"),
    (NAMES | {"group_column": "Traube", "labels_are": "index"}, "index (from 0) or position"),
    (NAMES | {"group_column": "Traube", "ranks": "overripe,ripe,fresh"}, "the ranks are overripe"),
    (NAMES | {"group_column": "Traube", "few_shot": 2}, "all of the sixty images"),
]

WRONG = [
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
    ("09", "check_shares(0.6, -0.1)", "(none − arm)"),  # no percentages
    ("09", "check_shares(60, 10)", "(none − arm)"),  # without the sign
    ("09", "check_shares(140, 210)", "(none − arm)"),  # ratios
    ("09", "check_alarms(0.15, 0.05)", "keep silent"),  # sums
    ("09", "check_alarms(0.05**3, (0.05 / 3) ** 3)", "keep silent"),  # all three
    ("09", "check_alarms(14.3, 4.9)", "keep silent"),
    ("09", "check_alarms(0.857, 0.951)", "keep silent"),
    ("09", "check_alarms(0.143, 0.05)", "three decimals"),  # the level, not the chance
    (
        "09",
        """
        def in_place(images):
            images["rps"] = images["error"]
            return compare_pairs(images, CLAIMS)

        check_judge(in_place)
        """,
        "leave the table of images",
    ),
    (
        "09",
        """
        def squared(images):
            return compare_pairs(images.assign(rps=images["error"] ** 2), CLAIMS)

        check_judge(squared)
        """,
        "errors of 3",
    ),
    (
        "09",
        """
        def silent(images):
            compare_pairs(images.assign(rps=images["error"]), CLAIMS)

        check_judge(silent)
        """,
        "return the whole table",
    ),
    (
        "09",
        """
        def answered(images):
            return compare_pairs(images.assign(rps=images["error"]), CLAIMS)["gain"]

        check_judge(answered)
        """,
        "return the whole table",
    ),
    (
        "09",
        """
        def flipped(images):  # a gain written with the other sign
            gains = compare_pairs(images, CLAIMS)
            return gains.assign(gain=-gains["gain"])

        check_judge(flipped)
        """,
        "errors of 3",
    ),
    ("09", "print(check_prediction('coral'))", "for each of the six sets"),
    ("09", "print(check_prediction({'hc18': 'coral'}))", "for each of the six sets"),
    ("09", "print(check_prediction(dict.fromkeys(MANY, 'CORAL')))", "or level"),
    ("09", "print(check_prediction(dict.fromkeys(MANY, 'coral')))", "fetal head"),
    ("09", "print(check_prediction(dict.fromkeys(MANY, 'level')))", "pears"),
    *(("10", f"print(check_options({TABLE | more}))", lead) for more, lead in OPTIONS),
    (
        "10",
        """
        def quantile(distances, coverage):
            return float(np.quantile(distances, coverage))

        print(check_level(quantile))
        """,
        "number 91",
    ),
    (
        "10",
        """
        def rounded(distances, coverage):
            place = round((len(distances) + 1) * coverage)
            return sorted(distances)[place - 1] if place <= len(distances) else 1.0

        print(check_level(rounded))
        """,
        "number 31",
    ),
    (
        "10",
        """
        def largest(distances, coverage):
            place = int(np.ceil((len(distances) + 1) * coverage))
            return sorted(distances)[min(place, len(distances)) - 1]

        print(check_level(largest))
        """,
        "does not exist",
    ),
    (
        "10",
        """
        def without_few(distances, coverage):  # which ends in an IndexError
            return sorted(distances)[int(np.ceil((len(distances) + 1) * coverage)) - 1]

        print(check_level(without_few))
        """,
        "does not exist",
    ),
    (
        "10",
        """
        def unsorted(distances, coverage):
            place = int(np.ceil((len(distances) + 1) * coverage))
            return distances[place - 1] if place <= len(distances) else 1.0

        print(check_level(unsorted))
        """,
        "number 91",
    ),
    (
        "10",
        """
        def sorting(distances, coverage):
            distances.sort()
            place = int(np.ceil((len(distances) + 1) * coverage))
            return distances[place - 1] if place <= len(distances) else 1.0

        print(check_level(sorting))
        """,
        "in their order",
    ),
    (
        "10",
        """
        def silent(distances, coverage):
            place = int(np.ceil((len(distances) + 1) * coverage))
            if place > len(distances):
                return 1.0

        print(check_level(silent))
        """,
        "return a number",
    ),
    (
        "10",
        """
        def by_mean(p, price):  # the distance from the mean, not from the median
            mean = sum(q * k for k, q in enumerate(p))
            return sum(q * abs(k - mean) for k, q in enumerate(p)) > price

        print(check_ask(by_mean))
        """,
        "costs only 0.45",
    ),
    (
        "10",
        """
        def by_likeliest(p, price):
            best = p.index(max(p))
            return sum(q * abs(k - best) for k, q in enumerate(p)) > price

        print(check_ask(by_likeliest))
        """,
        "less than the price of 0.8",
    ),
    (
        "10",
        """
        def squared(p, price):
            cost = [sum(q * (k - j) ** 2 for j, q in enumerate(p)) for k in range(len(p))]
            return min(cost) > price

        print(check_ask(squared))
        """,
        "1 per rank off",
    ),
    (
        "10",
        """
        def three_ranks(p, price):
            return min(sum(q * abs(k - j) for j, q in enumerate(p)) for k in range(3)) > price

        print(check_ask(three_ranks))
        """,
        "of five ranks",
    ),
    (
        "10",
        """
        def by_share(p, price):
            return 1 - max(p) > price

        print(check_ask(by_share))
        """,
        "off by two ranks",
    ),
    (
        "10",
        """
        def saved(p, price):  # a cost, and any number but 0 counts as yes
            cost = [sum(q * abs(k - j) for j, q in enumerate(p)) for k in range(len(p))]
            return min(cost) - price

        print(check_ask(saved))
        """,
        "True or False",
    ),
    (
        "10",
        """
        def one_price(p, price):
            cost = [sum(q * abs(k - j) for j, q in enumerate(p)) for k in range(len(p))]
            return min(cost) > 0.5

        print(check_ask(one_price))
        """,
        "less than the price of 0.8",
    ),
    ("20", "print(check_seen(2.0, 1600))", "2.8 standard errors"),  # one standard error
    ("20", "print(check_seen(0.28, 12544))", "the deviation / √images"),  # divided by the images
    ("20", "print(check_seen(5.6, 112))", "with the root"),
    ("20", "print(check_seen(5.6, 2240))", "with the root"),  # 400 times 5.6
    ("20", "print(check_trees(60, 3.16))", "divide by"),  # as if a tree were one image
    ("20", "print(check_trees(150, 2))", "divide by"),  # 10 for 10 - 1
    ("20", "print(check_trees(162, 3.7))", "the root of the variance"),
    *(
        ("10", f"print(check_memory({answer}))", lead)
        for answer, lead in (
            ({"without": 0.2, "with": 0.2}, "has the same grade"),  # nothing can be learned
            ({"without": 0.35, "with": 0.2}, "right by chance"),  # twins alone
            ({"without": 0.6, "with": 0.2}, "in validation or in test"),  # every twin in training
            ({"without": 0.76, "with": 0.2}, "half of the photographs"),  # every photograph a twin
            ({"without": 1.0, "with": 0.2}, "half of the photographs"),
            ({"without": 0.48, "with": 0.48}, "no twin is in training"),
            ({"without": 0.48, "with": 0.0}, "one time in five"),
            ({"without": 48, "with": 20}, "from 0 to 1"),
            ({"without": 0.48}, "one share"),
        )
    ),
]
