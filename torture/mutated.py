"""The modules whose tests are put to the test, each with the tests that should notice a change in it."""

from __future__ import annotations

UNIT, ORACLES, DATA = "tests/unit/", "tests/oracles/", "tests/data/"
LOSSES = (UNIT + "test_losses.py", UNIT + "test_ordinal_losses.py", ORACLES + "test_losses_oracles.py")
METRICS = (UNIT + "test_metrics.py", UNIT + "test_intervals.py", ORACLES + "test_metrics_oracles.py")
HOSTILE, FROZEN = UNIT + "test_hostile.py", UNIT + "test_frozen.py"
LISTS = (
    DATA + "test_lists.py",
    DATA + "test_listed.py",
    DATA + "test_files.py",
    DATA + "test_csv.py",
    HOSTILE,
)
SETTINGS = (FROZEN, UNIT + "test_config.py", UNIT + "test_ranks.py", HOSTILE)
RUNS = (
    FROZEN,
    UNIT + "test_stages.py",
    UNIT + "test_files.py",
    UNIT + "test_feature_cache.py",
    UNIT + "test_run_lock.py",
    HOSTILE,
)
RUNS += (
    UNIT + "test_strangers.py",
    UNIT + "test_calibration.py",
    UNIT + "test_training.py",
    UNIT + "test_cli.py",
)

GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "losses": {"losses.py": LOSSES, "ordinal_losses.py": LOSSES},
    "metrics": {
        "metrics.py": METRICS,
        "metric_inputs.py": METRICS,
        "probability_metrics.py": METRICS,
        "intervals.py": METRICS,
    },
    "parsers": {
        "data/files.py": LISTS,
        "data/csv.py": LISTS,
        "data/lists.py": LISTS,
        "data/listed.py": LISTS,
        "data/pictures.py": (DATA + "test_pictures.py", *LISTS),
        "ranks.py": SETTINGS,
        "config.py": SETTINGS,
        "typed.py": SETTINGS,
    },
    "checkpointing": {
        "files.py": RUNS,
        "checkpoint.py": RUNS,
        "rundir.py": RUNS,
        "feature_cache.py": RUNS,
        "calibration_file.py": RUNS,
        "tensor_file.py": RUNS,
        "model_file.py": RUNS,
    },
}
