"""Answers to exercises of chapters 1 and 2 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

WRONG = [
    ("01", "print(check_decades(years=40, steps=3))", "then take the mean"),  # sums
    ("01", "print(check_decades(years=0, steps=-1 / 4))", "1950 - 1930 = 20"),  # with their signs
    ("01", "print(check_decades(years=10, steps=1))", "are neighbours"),  # decades, not ranks
    ("01", "print(check_decades(years=7.5, steps=3 / 4))", "1950 - 1930"),  # as if evenly spaced
    (
        "01",
        """
        def one_step_late(p, r):
            return r[p.argmax()], r[(p.cumsum() > 0.5).argmax()], p @ r

        print(check_answers(one_step_late))
        """,
        "the median is 30; the cheapest is 12.25",
    ),
    (
        "01",
        """
        def by_place(p, r):  # the mean place, as a value
            return r[p.argmax()], r[(p.cumsum() >= 0.5).argmax()], r[round(p @ np.arange(len(r)))]

        print(check_answers(by_place))
        """,
        "the expectation is",
    ),
    (
        "01",
        """
        def middle_probability(p, r):
            return r[p.argmax()], r[p.argsort()[len(p) // 2]], p @ r

        print(check_answers(middle_probability))
        """,
        "the median is 0; the cheapest is 12.25",
    ),
    (
        "01",
        """
        def of_the_ranks(p, r):
            return r[p.argmax()], np.median(r), p @ r

        print(check_answers(of_the_ranks))
        """,
        "the median is 30",
    ),
    (
        "01",
        """
        def as_arrays(p, r):  # more than one value where two ranks are level
            return r[p == p.max()], r[(p.cumsum() >= 0.5).argmax()], p @ r

        print(check_answers(as_arrays))
        """,
        "three values",
    ),
    (
        "01",
        """
        def overwriting(p, r):
            best, middle = r[p.argmax()], r[(p.cumsum() >= 0.5).argmax()]
            r *= p
            return best, middle, r.sum()

        print(check_answers(overwriting))
        """,
        "leave p and r as they are",
    ),
    (
        "01",
        """
        def silent(p, r):
            answers = r[p.argmax()], r[(p.cumsum() >= 0.5).argmax()], p @ r

        print(check_answers(silent))
        """,
        "three values",
    ),
    (
        "01",
        """
        def by_column(image, text, s):
            z = image / image.norm(dim=0)
            t = text / text.norm(dim=0)
            return (s * z @ t.T).softmax(dim=1)

        print(check_clip(by_column))
        """,
        "cosines",
    ),
    (
        "01",
        """
        def one_by_one(image, text, s):  # a probability for each pair, as SigLIP has it
            return (s * normalize(image) @ normalize(text).T).sigmoid()

        print(check_clip(one_by_one))
        """,
        "cosines",
    ),
    (
        "01",
        """
        def in_place(image, text, s):
            image /= image.norm(dim=1, keepdim=True)
            text /= text.norm(dim=1, keepdim=True)
            return (s * image @ text.T).softmax(dim=1)

        print(check_clip(in_place))
        """,
        "leave both inputs as they are",
    ),
    (
        "01",
        """
        def always_100(image, text, s):
            z, t = normalize(image), normalize(text)
            return (100 * z @ t.T).softmax(dim=1)

        print(check_clip(always_100))
        """,
        "cosines",
    ),
    (
        "01",
        """
        def always_5(image, text, s):  # the scale at which the check began
            return (5 * normalize(image) @ normalize(text).T).softmax(dim=1)

        print(check_clip(always_5))
        """,
        "cosines",
    ),
    (
        "01",
        """
        def silent(image, text, s):
            p = (s * normalize(image) @ normalize(text).T).softmax(dim=1)

        print(check_clip(silent))
        """,
        "return a tensor",
    ),
    (
        "01",
        """
        surer = (100 * s * z @ t.T).softmax(dim=1)
        print(check_surer({"accuracy": "rises", "MAE": "falls"}, surer))
        """,
        "keeps the order",
    ),
    (
        "01",
        """
        surer = (100 * s * z @ t.T).softmax(dim=1)
        forecast = {"accuracy": "stays", "MAE": "stays", "RPS": "falls"}
        print(check_surer(forecast, surer))  # certainty taken for quality
        """,
        "now they are certain",
    ),
    (
        "01",
        """
        surer = (100 * s * z @ t.T).softmax(dim=1)
        forecast = {"accuracy": "stays", "MAE": "stays", "RPS": "rises", "RPS in the end": 0}
        print(check_surer(forecast, surer))  # as if certain were right
        """,
        "what is RPS then",
    ),
    (
        "01",
        "print(check_surer({}, 100 * probabilities))",
        "must add up to 1",
    ),
    (
        "01",
        "print(check_surer({}, (100 * probabilities).softmax(dim=1)))",  # softmax twice
        "multiply s by 100",
    ),
    (
        "01",
        "print(check_surer({}, (s / 100 * z @ t.T).softmax(dim=1)))",  # as a temperature
        "multiply s by 100",
    ),
    (
        "01",
        "print(check_winners([0, 0, 1, 2, 1, 3, 3, 4], [0, 0, 1, 2, 2, 2, 3, 0]))",  # turned round
        "who is right more often",
    ),
    (
        "01",
        "print(check_winners([0, 0, 1, 2, 2, 2, 3, 4], [1, 0, 1, 2, 2, 2, 3, 4]))",  # no error
        "wrong by far",
    ),
    (
        "01",
        "print(check_winners([0, 0, 1, 2, 2, 2, 3, 3], [0, 0, 1, 2, 2, 1, 2, 4]))",  # by one only
        "wrong by far",
    ),
    (
        "01",
        "print(check_winners([0, 0, 1, 2, 2, 2, 4, 5], [0, 0, 1, 2, 2, 1, 2, 4]))",  # from 1 to 5
        "from 0 to 4",
    ),
    ("02", "print(check_weights([-1 / 9, 0, 1 / 9, 4 / 9, 8 / 9]))", "distances from"),  # signed
    ("02", "print(check_weights([1 / 8, 0, 1 / 8, 4 / 8, 8 / 8]))", "of the label set"),
    ("02", "print(check_weights([8 / 9, 1, 8 / 9, 5 / 9, 1 / 9]))", "distances from"),  # likeness
    ("02", "print(check_weights([1, 0, 1, 4, 8]))", "divided by the largest"),  # M left out
    ("02", "print(check_weights([[1 / 9], [0], [1 / 9], [4 / 9], [8 / 9]]))", "one row"),
    (
        "02",
        """
        def by_sums(old, new):
            return {name for name in old if old[name].sum() != new[name].sum()}

        print(check_moved(by_sums))
        """,
        "c.x in order",
    ),
    (
        "02",
        """
        def every_number(old, new):
            return {name for name in old if (old[name] != new[name]).all()}

        print(check_moved(every_number))
        """,
        "b.x changed in one number",
    ),
    (
        "02",
        """
        def roughly(old, new):  # blind to small steps
            return {name for name in old if not torch.allclose(old[name], new[name])}

        print(check_moved(roughly))
        """,
        "d.x by 1e-6",
    ),
    (
        "02",
        """
        def as_text(old, new):  # four decimals of it
            return {name for name in old if str(old[name]) != str(new[name])}

        print(check_moved(as_text))
        """,
        "d.x by 1e-6",
    ),
    (
        "02",
        """
        def parts(old, new):
            changed = [name for name in old if not torch.equal(old[name], new[name])]
            return {name.split(".")[0] for name in changed}

        print(check_moved(parts))
        """,
        "b.x changed",
    ),
    (
        "02",
        """
        def other_objects(old, new):
            return {name for name in old if old[name] is not new[name]}

        print(check_moved(other_objects))
        """,
        "the text tower is frozen",
    ),
    (
        "02",
        """
        def counted(old, new):
            return sum(not torch.equal(old[name], new[name]) for name in old)

        print(check_moved(counted))
        """,
        "return a set",
    ),
    (
        "02",
        """
        def until_it_rises(history):  # stops at the first epoch that is worse
            best = history[0]
            for row in history[1:]:
                if (row["val_rps"], row["val_mae"]) > (best["val_rps"], best["val_mae"]):
                    break
                if (row["val_rps"], row["val_mae"]) < (best["val_rps"], best["val_mae"]):
                    best = row
            return best["epoch"]

        print(check_epoch(until_it_rises))
        """,
        "read on",
    ),
    (
        "02",
        """
        def counted(history):  # the place of the row, not its epoch
            keys = [(row["val_rps"], row["val_mae"]) for row in history]
            return keys.index(min(keys)) + 1

        print(check_epoch(counted))
        """,
        "epoch 3 is right, yours is 2",
    ),
    (
        "02",
        """
        def latest(history):
            best = history[0]
            for row in history:
                if (row["val_rps"], row["val_mae"]) <= (best["val_rps"], best["val_mae"]):
                    best = row
            return best["epoch"]

        print(check_epoch(latest))
        """,
        "the earlier of equal epochs",
    ),
    (
        "02",
        """
        def to_three_decimals(history):
            key = lambda row: (round(row["val_rps"], 3), round(row["val_mae"], 3))
            return min(history, key=key)["epoch"]

        print(check_epoch(to_three_decimals))
        """,
        "RPS decides before MAE",
    ),
    (
        "02",
        """
        def summed(history):
            return min(history, key=lambda row: row["val_rps"] + row["val_mae"])["epoch"]

        print(check_epoch(summed))
        """,
        "RPS decides before MAE",
    ),
    (
        "02",
        """
        def sorting(history):
            history.sort(key=lambda row: (row["val_rps"], row["val_mae"]))
            return history[0]["epoch"]

        print(check_epoch(sorting))
        """,
        "leave the history in order",
    ),
    ("02", "print(check_change(lambda image: image, 0.0))", "no image has changed"),
    (
        "02",
        """
        import numpy as np

        print(check_change(lambda image: 255 - np.asarray(image), 0.3))
        """,
        "not an array",
    ),
    ("02", "print(check_change(lambda image: image.convert('L'), 0.4))", "in RGB"),
    (
        "02",
        "print(check_change(lambda image: image.resize((32, 32)), 0.2))",
        "keep the size",
    ),
    (
        "02",
        "print(check_change(lambda image: Image.new('RGB', image.size), 0.5))",  # all black
        "their ranks are lost",
    ),
    (
        "02",
        "print(check_change(lambda image: image.convert('L').convert('RGB'), 0.0))",  # no colour
        "has changed for the model",
    ),
    (
        "02",
        "print(check_change(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 1))",
        "has changed for the model",
    ),
    (
        "02",
        "print(check_change(lambda image: image.rotate(45), -0.5))",  # a distance with a sign
        "has changed for the model",
    ),
]
