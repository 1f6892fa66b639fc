"""Runs cells as a notebook does, one after the other: gives each as a line of JSON, with what it showed or raised.

Cells come on standard input, as a JSON list of text.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


def main() -> None:
    shell: Any = InteractiveShell.instance()
    for cell in json.load(sys.stdin):
        with capture_output() as captured:
            result = shell.run_cell(cell, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        data, _ = shell.display_formatter.format(result.result)
        shown = {
            "html": data.get("text/html"),
            "text": data.get("text/plain"),
            "said": captured.stdout,
            "error": None if error is None else f"{type(error).__name__}: {error}",
        }
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
