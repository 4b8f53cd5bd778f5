"""Answers to exercises of chapter 3 that look right and are not.

Each has the number of its chapter, its code, and words of the sentence that its reader must get.
"""

WRONG = [
    (
        "03",
        """
        def by_membership(encode, template, names):  # also finds the rank's words elsewhere
            rows = [encode(template.replace("{rank}", name)) for name in names]
            mask = torch.zeros(len(names), 2 + max(map(len, rows)), dtype=torch.bool)
            for k, (row, name) in enumerate(zip(rows, names)):
                mask[k, 1 : 1 + len(row)] = torch.tensor([i in encode(name) for i in row])
            return mask

        check_slots(by_membership)
        """,
        "may be in the template",
    ),
    (
        "03",
        """
        def first_match(encode, template, names):  # the rank's words may come before the rank
            rows = [encode(template.replace("{rank}", name)) for name in names]
            mask = torch.zeros(len(names), 2 + max(map(len, rows)), dtype=torch.bool)
            for k, (row, name) in enumerate(zip(rows, names)):
                first = 1 + row.index(encode(name)[0])
                mask[k, first : first + len(encode(name))] = True
            return mask

        check_slots(first_match)
        """,
        "for 'twenty faces, {rank} years, one photo'",
    ),
    (
        "03",
        """
        def in_words(encode, template, names):  # a word may be more than one token
            before, after = (len(part.split()) for part in template.split("{rank}"))
            sizes = torch.tensor([len(name.split()) for name in names])[:, None]
            slot = torch.arange(2 + before + int(sizes.max()) + after)
            return (slot > before) & (slot <= before + sizes)

        check_slots(in_words)
        """,
        "count the tokens of each one",
    ),
    (
        "03",
        """
        def zero_based(encode, template, names):
            return rank_slots_solved(encode, template, names).roll(-1, dims=1)

        check_slots(zero_based)
        """,
        "slot 0 is the start token",
    ),
    (
        "03",
        """
        def no_end(encode, template, names):
            return rank_slots_solved(encode, template, names)[:, :-1]

        check_slots(no_end)
        """,
        "count the start and end token",
    ),
    (
        "03",
        """
        def as_numbers(encode, template, names):  # 0 and 1: as an index these are places
            return rank_slots_solved(encode, template, names).long()

        check_slots(as_numbers)
        """,
        "a Boolean tensor",
    ),
    (
        "03",
        """
        def in_a_row(features):
            distance = 1 - features @ features.T
            i = torch.arange(len(features) - 2)
            inner = torch.stack([distance[i, i + 1], distance[i + 1, i + 2]])
            won = (distance[i, i + 2] - inner).round(decimals=6).sign() / 2 + 0.5
            return won.mean()

        check_triplets(in_a_row)
        """,
        "take all i < j < k",
    ),
    (
        "03",
        """
        def one_neighbour(features):
            distance = 1 - features @ features.T
            i, j, k = torch.combinations(torch.arange(len(features)), 3).T
            gap = (distance[i, k] - distance[i, j]).round(decimals=6)
            return (gap.sign() / 2 + 0.5).mean()

        check_triplets(one_neighbour)
        """,
        "one comparison is lost and one tied",
    ),
    (
        "03",
        """
        def no_ties(features):
            distance = 1 - features @ features.T
            i, j, k = torch.combinations(torch.arange(len(features)), 3).T
            inner = torch.stack([distance[i, j], distance[j, k]])
            return (inner < distance[i, k] - 1e-6).double().mean()

        check_triplets(no_ties)
        """,
        "one tied",
    ),
    (
        "03",
        """
        def each_one(features):  # one score a comparison
            distance = 1 - features @ features.T
            i, j, k = torch.combinations(torch.arange(len(features)), 3).T
            inner = torch.stack([distance[i, j], distance[j, k]])
            return (distance[i, k] - inner).round(decimals=6).sign() / 2 + 0.5

        check_triplets(each_one)
        """,
        "one number",
    ),
    (
        "03",
        """
        def exactly(features):  # rounding decides what should be a tie
            distance = 1 - features @ features.T
            i, j, k = torch.combinations(torch.arange(len(features)), 3).T
            inner = torch.stack([distance[i, j], distance[j, k]])
            return ((distance[i, k] - inner).sign() / 2 + 0.5).mean()

        check_triplets(exactly)
        """,
        "so small a difference is a tie",
    ),
    (
        "03",
        """
        def centred_first(templates, names):
            parts = []
            for template in templates:
                rows = encode(mini, [template.replace("{rank}", name) for name in names])
                seen = centre(rows, mini.text.mean)
                parts.append(centre(seen, seen.mean(dim=0)))
            return F.normalize(torch.stack(parts).mean(dim=0), dim=-1)

        check_ensemble(centred_first)
        """,
        "average first",
    ),
    (
        "03",
        """
        def long_mean(templates, names):  # the average is not scaled to unit length
            each = [encode(mini, [t.replace("{rank}", name) for name in names]) for t in templates]
            seen = centre(torch.stack(each).mean(dim=0), mini.text.mean)
            return centre(seen, seen.mean(dim=0))

        check_ensemble(long_mean)
        """,
        "then unit length",
    ),
    (
        "03",
        """
        def ranks_first(templates, names):
            each = [encode(mini, [t.replace("{rank}", name) for name in names]) for t in templates]
            mean = F.normalize(torch.stack(each).mean(dim=0), dim=-1)
            return centre(centre(mean, mean.mean(dim=0)), mini.text.mean)

        check_ensemble(ranks_first)
        """,
        "class names, ranks",
    ),
    (
        "03",
        """
        def of_this_page(templates, names):  # whatever the names
            return ensemble_solved(templates, severity.names)

        check_ensemble(of_this_page)
        """,
        "use the names given",
    ),
    (
        "03",
        """
        def bare(templates, names):  # not of unit length at the end
            each = [encode(mini, [t.replace("{rank}", name) for name in names]) for t in templates]
            seen = F.normalize(torch.stack(each).mean(dim=0), dim=-1) - mini.text.mean
            return seen - seen.mean(dim=0)

        check_ensemble(bare)
        """,
        "not of unit length",
    ),
    (
        "03",
        """
        names = "private, corporal, sergeant, lieutenant, captain, major, colonel, general"
        check_order(grades(names, "a portrait of a {rank}"), "learned")  # as soldiers order them
        """,
        "not yet: luck",
    ),
    (
        "03",
        """
        names = "first, second, third, fourth, fifth, sixth, seventh, eighth"  # share no word
        check_order(grades(names, "the view from the {rank} floor"), "spelled")
        """,
        "not yet: learned",
    ),
    (
        "03",
        """
        names = "nursery, kindergarten, primary school, middle school, high school, university"
        check_order(grades(names, "a photo of a pupil at {rank}"), "luck")
        """,
        "not yet: learned",
    ),
    ("03", "check_order(spaces['quality'], 'learned')", "with few the band is wide"),
    ("03", "check_order(spaces['decades'], 'learned')", "names of your own"),
    (
        "03",
        """
        names = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
        check_order(grades(names, "a photo taken on a {rank}"), 0.7)  # a score
        """,
        "one word",
    ),
]
