"""Answers to exercises of chapter 11 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

PAIRS = """
from scipy.special import softmax
from scipy.stats import spearmanr


def share(true, expected, of_tie=0.5, with_equal=False):
    right, pairs = 0.0, 0
    for i in range(len(true)):
        for j in range(len(true)):
            if true[i] < true[j] or (with_equal and i < j and true[i] == true[j]):
                pairs += 1
                right += expected[i] < expected[j]
                right += of_tie * (expected[i] == expected[j])
    return right / pairs


def by_place(true, expected):
    pairs = [(i, j) for j in range(4) for i in range(j) if true[i] != true[j]]
    right = [expected[i] < expected[j] for i, j in pairs]
    ties = [expected[i] == expected[j] for i, j in pairs]
    return (sum(right) + sum(ties) / 2) / len(pairs)


def band_of(p, true, of=lambda x: x, ends=(0.025, 0.975), orders=None):
    rho = []
    for order in orders or permutations(range(5)):
        expected = of(p) @ np.array(order, dtype=float)
        rho.append(spearmanr(expected, true).statistic)
    return np.quantile(rho, ends)


def of_leaves(p, true):
    draws = np.random.default_rng(0)
    rho = [spearmanr(p @ np.arange(5.0), draws.permutation(true)).statistic for _ in range(120)]
    return np.quantile(rho, [0.025, 0.975])

"""

# calls of a check, and words of its verdict
CALLS = [
    ("check_in_order(lambda t, e: share(t, e, with_equal=True))", "of 5 pairs"),
    ("check_in_order(lambda t, e: share(t, e, of_tie=0.0))", "a tie counts a half"),
    ("check_in_order(lambda t, e: share(t, e, of_tie=1.0))", "a tie counts a half"),
    ("check_in_order(lambda t, e: 2 * share(t, e) - 1)", "no pair is in order"),
    ("check_in_order(lambda t, e: 100 * share(t, e))", "all pairs are in order"),
    ("check_in_order(by_place)", "it is 1.0"),
    ("check_in_order(lambda t, e: None)", "return a number"),
    ("check_in_order(lambda t, e: float(spearmanr(t, e)[0]))", "all pairs are in order"),
    ("check_land(lambda new, old, values, s: values[np.argmax(old @ new)])", "as near to"),
    ("check_land(lambda new, old, values, s: old @ new @ values)", "as near to the first"),
    ("check_land(lambda new, old, values, s: softmax(old @ new) @ values)", "the last of the"),
    ("check_land(lambda new, old, values, s: np.exp(s * old @ new) @ values)", "the last of"),
    ("check_land(lambda new, old, values, s: np.exp(s * old @ new))", "return one number"),
    ("check_land(lambda new, old, values, s: softmax(s * new @ old) @ values)", "mismatch"),
    ("check_band(of_leaves)", "for these leaves"),
    ("check_band(lambda p, t: band_of(p, t, ends=(0, 1)))", "for these leaves"),
    ("check_band(lambda p, t: band_of(p, t, of=lambda p: p == p.max(1, keepdims=True)))", "leaves"),
    ("check_band(lambda p, t: band_of(p, t, orders=[range(5), range(4, -1, -1)]))", "these leaves"),
    ("check_band(lambda p, t: band_of(p, t, ends=(0.5,)))", "return two numbers"),
    ("check_band(lambda p, t: None)", "return two numbers"),
    ('check_vocabulary(["no", "low", "middle", "high"])', "five different words"),
    ('check_vocabulary(["no", "low", "low", "high", "full"])', "five different words"),
    ('check_vocabulary(["0", "25", "50", "75", "100"])', "no digits"),
    ('check_vocabulary(["zero", "ten percent", "half", "most", "all"])', "no percents"),
    ('check_vocabulary(["no", "little", "some", "much", "extreme"])', "land at"),
    ('check_vocabulary(["no", "low", "very low", "very high", "high"])', "does not rise"),
    ('check_vocabulary("abcde")', "five different words"),
    ("check_vocabulary(vocabularies[2])", "of your own"),
    ("check_vocabulary([1, 2, 3, 4, 5])", "each is a text"),
]
WRONG = [("11", f"{PAIRS}print({call})", words) for call, words in CALLS]
