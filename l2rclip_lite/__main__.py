"""The process `l2rclip`, or `python -m l2rclip_lite`, which `accelerate launch` starts, too."""

import sys

from l2rclip_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
