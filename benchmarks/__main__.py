"""``python -m benchmarks``: a short version of every benchmark, and a report; `benchmarks.runner` has the options."""

import sys

from benchmarks.runner import main

sys.exit(main())
