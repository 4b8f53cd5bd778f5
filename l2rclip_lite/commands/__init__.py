"""The commands of `l2rclip`, and what they share.

`fit`, `answer`, `finished`, `data` and `doctor` hold the commands, `options` what they take; help
answers at once, as torch is imported when a command runs. `finished_run` and `finished_baselines`
do the work on a finished run.
"""
