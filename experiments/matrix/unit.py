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
import sys
from pathlib import Path

sys.path.insert(0, "experiments/matrix")
import plan as planning
from work import Work, write_unit

plan = planning.read(PRESET)
folder = Path(DATA_FOLDER) if DATA_FOLDER else None
unit = planning.unit(plan, STUDY, DATA, RUN, folder)
print(plan["studies"][STUDY]["question"])
unit["settings"]

# %%
work = Work(unit, Path(CACHE) if CACHE else None)
print(f"{len(work.features)} images, {len(work.data.ranks)} ranks")

# %%
key = {"study": STUDY, "data": DATA, "run": RUN}
table = write_unit(work, key, Path(OUT), {"commit": COMMIT})

# %%
table.pivot_table("rps", "arm", "condition", sort=False).round(3)
