"""The corpus: text that every machine with Python has, line after line, without an end."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from millstream.errors import ConfigurationError

SUFFIXES = (".py", ".rst", ".txt")
"""The files that count as text."""

SKIPPED_FOLDERS = frozenset({"__pycache__", "idle_test", "site-packages", "dist-packages", "test", "tests"})
"""Why: installed packages differ from machine to machine, and tests hold text that is broken on purpose."""


class TextCorpus:
    """The lines of files, again from the first file after the last.

    Args:
        files: text files, at least one; a file that has gone when its turn comes is passed over.

    Raises:
        ConfigurationError: there is no file.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise ConfigurationError(
                "There is no text to serve.",
                detail=f"No file that ends in {', '.join(SUFFIXES)} was found.",
                hint="Name text files or folders of your own: millstream serve-text FILE ...",
            )
        self.files = tuple(files)

    @classmethod
    def of_python(cls) -> TextCorpus:
        """Make the corpus of the sources and documentation of the Python that runs."""
        return cls(python_text_files())

    @classmethod
    def of_paths(cls, paths: Sequence[Path]) -> TextCorpus:
        """Make the corpus of files, and of the text files in folders.

        Raises:
            ConfigurationError: a path does not exist, or there is no text file.
        """
        for path in paths:
            if not path.exists():
                raise ConfigurationError(
                    "There is no such file or folder.", detail=str(path), hint="Give paths of this machine."
                )
        return cls([file for path in paths for file in ([path] if path.is_file() else text_files_in(path))])

    def lines(self) -> Iterator[bytes]:
        r"""Give line after line, each with `\n` at its end, for ever.

        Raises:
            ConfigurationError: in a whole round no file could be read, or all were empty.

        Example:
            >>> from itertools import islice
            >>> [line.endswith(b"\n") for line in islice(TextCorpus.of_python().lines(), 3)]
            [True, True, True]
        """
        while True:
            found = False
            for file in self.files:
                try:
                    text = file.read_bytes()
                except OSError:  # Why passed over: an update of the machine may take a file away while it is served.
                    continue
                for line in text.splitlines():
                    found = True
                    yield line + b"\n"
            if not found:
                raise ConfigurationError(
                    "There is no text to serve.",
                    detail="No file could be read, or all were empty.",
                    hint="Give files or folders with text.",
                )


def python_text_files() -> list[Path]:
    """List the sources of the standard library and the documentation that came with it, in a fixed order."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    documentation = Path(sys.base_prefix) / "share" / "doc"
    roots = [
        Path(sysconfig.get_path("stdlib")),
        documentation / f"python{version}",
        documentation / f"python{version}-doc",
    ]
    return [file for root in roots for file in text_files_in(root)]


def text_files_in(folder: Path) -> list[Path]:
    """List the text files in a folder and its folders, sorted; a folder that does not exist has none."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        files += [Path(parent, name) for name in sorted(names) if name.endswith(SUFFIXES)]
    return files
