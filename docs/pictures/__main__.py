"""`python -m docs.pictures`: draw all pictures anew, beside this file."""

from pathlib import Path

from docs.pictures.families import pictures

for name, picture in pictures().items():
    Path(__file__).with_name(f"{name}.svg").write_text(picture)
