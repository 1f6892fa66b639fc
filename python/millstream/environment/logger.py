"""The logger of the library: `millstream`, silent until the program configures logging."""

from __future__ import annotations

import logging

logger = logging.getLogger("millstream")
logger.addHandler(logging.NullHandler())
