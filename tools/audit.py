"""Ask for known weaknesses of every locked package, with pip-audit.

    .tools-env/bin/python tools/audit.py      (`make audit`)

Exit code 0: every pin was looked up, none is known to be weak. 1: some are, each is named with the version that mends it.
3: the data could not be had, or not for every pin, so nothing is said about those.
"""

from __future__ import annotations

import json
import subprocess
import sys

from licences import SETS
from lock import FOLDER

WEAK, UNKNOWN = 1, 3


def read(report: str) -> tuple[int, list[str], list[str]]:
    """How many pins were looked up, which are weak, which could not be looked up, of pip-audit's report in JSON.

    Example:
        >>> read(
        ...     '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "no answer"}]}'
        ... )
        (1, [], ['b'])
    """
    looked_up, weak, skipped = 0, [], []
    for item in json.loads(report)["dependencies"]:
        if "skip_reason" in item:
            skipped.append(item["name"])
            continue
        looked_up += 1
        for found in item["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no release"
            weak.append(f"{item['name']} {item['version']}: {found['id']}, mended in {mended}")
    return looked_up, weak, skipped


def audit(name: str) -> tuple[int, list[str], list[str]] | None:
    """pip-audit's findings for one file of pins; None where it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "-r", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return read(done.stdout)
    except (ValueError, KeyError):
        return None


def main() -> int:
    """Audit every file of pins; the status is described above."""
    looked_up, weak, unanswered = 0, [], []
    for name in SETS:
        found = audit(name)
        if found is None:
            unanswered.append(name)
            continue
        looked_up += found[0]
        weak += found[1]
        unanswered += found[2]
    for line in sorted(set(weak)):
        print(line)
    if weak:
        print(f"{len(set(weak))} known weaknesses in {looked_up} pins")
        return WEAK
    if unanswered:
        print(
            f"nothing could be learnt of {len(unanswered)} of the pins: run it where the data on weaknesses can be reached"
        )
        return UNKNOWN
    print(f"{looked_up} pins, no known weakness")
    return 0


if __name__ == "__main__":
    sys.exit(main())
