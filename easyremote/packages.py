"""The packages that this Python has, by version.

``tests/test_packages.py`` proves it.
"""

from __future__ import annotations

import platform
import re

__all__ = ["installed"]


def installed() -> dict[str, str]:
    """Package to version, as an import would find them; Python itself is ``python``."""
    from importlib.metadata import distributions  # it takes long to import, and is rarely needed

    found: dict[str, str] = {}
    for each in distributions():
        if each.name:  # a folder that an installer left half removed has none
            found.setdefault(re.sub(r"[-_.]+", "-", each.name).lower(), each.version)
    return {"python": platform.python_version(), **found}
