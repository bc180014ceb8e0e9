"""``python -m conformance`` is ``llm-conformance``."""

import sys

from conformance.cli import main

sys.exit(main())
