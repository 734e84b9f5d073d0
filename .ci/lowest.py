"""Print the lowest versions that pyproject.toml allows, one `name==version` a line, for the extras given as arguments.

``pip install --constraint <(python .ci/lowest.py test) '.[test]'`` then installs exactly what the project claims to run
with.
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
requirements = [
    *project["dependencies"],
    *(r for extra in sys.argv[1:] for r in project["optional-dependencies"][extra]),
]
for requirement in requirements:
    floor = re.fullmatch(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement)
    if floor is None:
        sys.exit(f"{requirement!r} in pyproject.toml has no floor: write name>=version.")
    print("==".join(floor.groups()))
