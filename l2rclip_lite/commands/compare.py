"""`l2rclip compare`: scores of a run and its baselines, and their differences."""

from l2rclip_lite.commands.common import RunFolder, table
from l2rclip_lite.commands.finished_run import scored_answers


def compare(run: RunFolder) -> None:
    """Print the test scores of a run and its baselines, and how much each differs from L2RCLIP.

    Try:
      l2rclip compare runs/mine

    All scores come with 95 % bootstrap intervals. The differences are paired: the same resamples of
    images, or where the data say whom they show, of subjects. No image is read.

    Args:
        run: The --out of a finished fit.
    """
    from l2rclip_lite.metrics import with_intervals
    from l2rclip_lite.runs.results import SCORES

    ranks, answers, scores = scored_answers(run)
    title = f"test; unit of MAE: {ranks.unit}"
    print(table({name: with_intervals(score) for name, score in scores.items()}, title))

    ours = next(iter(scores))  # L2RCLIP, or what was kept in its place
    of_ours = scores.pop(ours)
    rows = {}
    for name, score in scores.items():
        rows[name] = with_intervals({key: score[key] - of_ours[key] for key in SCORES})
    if rows:
        drawn = "subject" if "subject" in answers[ours] else "image"
        title = f"difference from {ours}, paired by {drawn}; an interval without 0 shows one"
        print(f"\n{table(rows, title)}")
