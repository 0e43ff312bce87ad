"""Writes the code of a page's tour as one script: `tour.py PAGE`. Blocks in Python are run by themselves."""

import re
import sys
from pathlib import Path


def main() -> None:
    page = Path(sys.argv[1]).read_text()
    tour = re.search(r"^## A tour\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert tour, f"{sys.argv[1]} has no tour"
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```$", tour[1], re.MULTILINE | re.DOTALL)
    assert {kind for kind, _ in blocks} == {"sh", "python"}, "the tour has lost its code"
    for kind, code in blocks:
        print(code if kind == "sh" else f"python - <<'PYTHON'\n{code}PYTHON\n")


if __name__ == "__main__":
    main()
