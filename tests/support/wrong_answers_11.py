"""Answers to exercises of chapter 11 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

PAIRS = """
def share(true, expected, of_tie=0.5, with_equal=False):
    right, pairs = 0.0, 0
    for i in range(len(true)):
        for j in range(len(true)):
            if true[i] < true[j] or (with_equal and i < j and true[i] == true[j]):
                pairs += 1
                right += expected[i] < expected[j]
                right += of_tie * (expected[i] == expected[j])
    return right / pairs

"""

WRONG = [
    ("11", PAIRS + "check_in_order(lambda t, e: share(t, e, with_equal=True))", "five pairs"),
    ("11", PAIRS + "check_in_order(lambda t, e: share(t, e, of_tie=0.0))", "a tie counts one half"),
    ("11", PAIRS + "check_in_order(lambda t, e: share(t, e, of_tie=1.0))", "a tie counts one half"),
    ("11", PAIRS + "check_in_order(lambda t, e: 2 * share(t, e) - 1)", "no pair is in order"),
    ("11", PAIRS + "check_in_order(lambda t, e: 100 * share(t, e))", "all pairs are in order"),
    ("11", "check_in_order(lambda t, e: print(t))", "return a number"),
    (
        "11",
        """
        from scipy.stats import spearmanr

        check_in_order(lambda t, e: float(spearmanr(t, e)[0]))
        """,
        "all pairs are in order",
    ),
    ("11", "check_land(lambda new, old, values, s: values[np.argmax(old @ new)])", "as near to"),
    ("11", "check_land(lambda new, old, values, s: old @ new @ values)", "as near to the first"),
    (
        "11",
        """
        def without_scale(new, old, values, s):
            near = np.exp(old @ new)
            return near @ values / near.sum()

        check_land(without_scale)
        """,
        "the last of the old ones",
    ),
    (
        "11",
        """
        def not_divided(new, old, values, s):
            return np.exp(s * old @ new) @ values

        check_land(not_divided)
        """,
        "the last of the old ones",
    ),
    ("11", "check_land(lambda new, old, values, s: np.exp(s * old @ new))", "return one number"),
    ("11", 'check_vocabulary(["no", "low", "middle", "high"])', "five different words"),
    ("11", 'check_vocabulary(["no", "low", "low", "high", "full"])', "five different words"),
    ("11", 'check_vocabulary(["0", "25", "50", "75", "100"])', "no digits"),
    ("11", 'check_vocabulary(["zero", "ten percent", "half", "most", "all"])', "no percents"),
    ("11", 'check_vocabulary(["green", "pale", "yellow", "brown", "black"])', "land at"),
    ("11", 'check_vocabulary("abcde")', "five different words"),
    ("11", "check_vocabulary([1, 2, 3, 4, 5])", "each is a text"),
]
