# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One unit of the matrix
#
# One study on one data set and one fold or seed: every arm under every condition.
# `experiments/Snakefile` runs this notebook once per unit with papermill and keeps it, executed, as
# the log of the unit; where an arm fails, the notebook shows where, and no row is written.
# `studies.yaml` says what the studies are.

# %% tags=["parameters"]
STUDY = "main"  # a study of studies.yaml
DATA = "leaves5"  # one of its data sets
RUN = 0  # which fold or seed, counted from 0
PRESET = "page"  # or smoke: the same in miniature
DATA_FOLDER = ""  # where the folders of the real data sets are
CACHE = ""  # folder for image features; empty keeps none
OUT = "rows.csv"  # where the rows go
COMMIT = ""  # of the code, written into every row

# %%
import math
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from l2rclip_lite.files import write_json, write_text

sys.path.insert(0, "experiments/matrix")
import plan as planning
from work import Work

plan = planning.read(PRESET)
folder = Path(DATA_FOLDER) if DATA_FOLDER else None
unit = planning.unit(plan, STUDY, DATA, RUN, PRESET, folder)
print(plan["studies"][STUDY]["question"])
unit["settings"]

# %%
work = Work(unit, DATA, Path(CACHE) if CACHE else None)
print(f"{len(work.features)} images, {len(work.data.ranks)} ranks")

# %%
key = {"study": STUDY, "data": DATA, "run": RUN}
rows = []
images = []
for row in work.rows():
    scores = row.pop("images")
    images.append(scores.assign(**key, arm=row["arm"], condition=row["condition"]))
    rows.append(key | row | {"commit": COMMIT})
    print(
        f"{row['condition']:<24}{row['arm']:<32}RPS {row['rps']:7.3f}  "
        f"MAE of the median {row['mae_median']:7.3f}  {row['seconds']:6.1f} s",
        flush=True,
    )

# %%
table = pd.DataFrame(rows)
assert not any(math.isnan(value) for value in table["mae"]), "an error is missing"
write_text(Path(OUT), table.to_csv(index=False))
image_scores = pd.concat(images).to_csv(index=False, float_format="%.4f")
write_text(Path(OUT).with_suffix(".images.csv"), image_scores)
versions = {name: version(name) for name in ("numpy", "torch", "scikit-learn")}
origin = {"unit": unit, "versions": versions, "commit": COMMIT, "card": work.data.card.to_dict()}
write_json(Path(OUT).with_suffix(".json"), origin)

# %%
table.pivot_table("rps", "arm", "condition", sort=False).round(3)
