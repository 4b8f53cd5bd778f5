"""One file for each command of `l2rclip`.

Whatever needs torch is imported when a command runs, so that help answers at once.
"""
