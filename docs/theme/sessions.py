"""A hook of the site: sessions of the Python prompt are coloured as such."""

import re
from typing import Any

_SESSION = re.compile(r"^```python\n(?=>>> )", re.MULTILINE)


def on_page_markdown(markdown: str, **_page: Any) -> str:
    """Say of code that begins with a prompt that it is a session; in the sources it is `python` for other readers."""
    return _SESSION.sub("```pycon\n", markdown)
