"""An extension of griffe: docstrings here say `Example:` for the section that griffe knows as `Examples:`."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


class Examples(griffe.Extension):
    """Shows the sessions in docstrings as code."""

    def on_object(self, *, obj: griffe.Object, **_rest: Any) -> None:
        """Rename the section, so that it is parsed rather than shown as text."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub("Examples:", obj.docstring.value)
