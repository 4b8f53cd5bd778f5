"""The process `l2rclip`, or `python -m l2rclip_lite`: what `accelerate launch -m l2rclip_lite` starts."""

from __future__ import annotations

import sys

from l2rclip_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
