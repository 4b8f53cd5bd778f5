"""`l2rclip doctor`: what could stop a run."""


def doctor(out: str = ".") -> int:
    """Check versions, weights, device, write access and a forward pass.

    Try:
      l2rclip doctor --out runs

    Args:
        out: Where your runs shall be written.
    """
    from l2rclip_lite.doctor import doctor as examine

    return 0 if examine(out) else 1
