"""The Rust core: hot loops over bytes and Arrow, without the GIL where they take long."""

from typing import Final

build_profile: Final[str]

def debug_build() -> bool: ...
