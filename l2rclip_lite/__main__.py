"""The process `l2rclip`, or `python -m l2rclip_lite`: what `accelerate launch -m l2rclip_lite` starts."""

import sys

from l2rclip_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
