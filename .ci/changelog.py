"""Print the changelog's section of a version: python .ci/changelog.py 0.1.0"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def section(changelog: str, version: str) -> str:
    """Return what stands under a version's heading.

    Raises:
        SystemExit: if there is no such heading, or nothing under it.
    """
    heading = rf"^## \[?{re.escape(version)}\]?(?=\s)[^\n]*\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if found is None or not found[1].strip():
        raise SystemExit(f"CHANGELOG.md has no section of {version}")
    return found[1].strip()


if __name__ == "__main__":
    print(section(Path("CHANGELOG.md").read_text(encoding="utf-8"), sys.argv[1]))
