"""Hints for a module or file that is missing on a node: the option that brings it there.

The package of a module is found among those installed here, and in a short list of packages whose
modules have other names. ``tests/jupyter_extension/magics/test_missing.py`` proves it.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
from collections.abc import Mapping

from easyremote.client.files.sending import name_there
from easyremote.errors import RemoteError
from easyremote_jupyter.capture.local_modules import is_local

__all__ = ["missing_file_hint", "missing_module_hint", "requirement_for"]

#: Messages as "No module named 'a'".
_MODULE = re.compile(r"'([\w.]+)'(?: is not installed|, which is|$|;)")
#: The system's message for a file that does not exist.
_FILE = re.compile(r"\[Errno 2\] No such file or directory: ('[^']*')$")
_DISTRIBUTIONS: Mapping[str, str] = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "osgeo": "gdal",
    "pkg_resources": "setuptools",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "usb": "pyusb",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


def missing_module_hint(error: RemoteError) -> str:
    """One line on how to bring a module there; empty where the error is about something else."""
    if error.type_name != "ModuleNotFoundError":
        return ""
    found = _MODULE.search(error.message)
    # A part of a package is missing: the package is there, perhaps in another version.
    if found is None or "." in found[1]:
        return ""
    name = found[1]
    if is_local(name):
        return f"{name!r} is a module of this notebook's folder: leave out --no-modules."
    if name in sys.stdlib_module_names:
        return f"{name!r} is in Python's standard library here, but not in that of the node."
    requirement = requirement_for(name)
    here = f" (the version that is installed here; or --with {_name(requirement)})"
    return f"Add --with {requirement}{here if '==' in requirement else ''}"


def missing_file_hint(error: RemoteError) -> str:
    """One line on how to send a file of this machine; empty where there is no such file."""
    found = _FILE.search(error.message) if error.type_name == "FileNotFoundError" else None
    if found is None:
        return ""
    path = str(ast.literal_eval(found[1]))
    if not os.path.isfile(path):
        return ""
    how = f"add --file {shlex.quote(path)}"
    if (name := name_there(path)) != os.path.normpath(path):
        how += f", and open it as {name!r}"
    return f"{path!r} is here, but was not sent: {how}"


def requirement_for(module: str) -> str:
    """The requirement for a module, with its version if it is installed here."""
    # Only after an error: it takes long to import.
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    known = packages_distributions().get(module)
    name = known[0] if known else _DISTRIBUTIONS.get(module, module.replace("_", "-"))
    try:
        return f"{name}=={version(name).partition('+')[0]}"
    except PackageNotFoundError:
        return name


def _name(requirement: str) -> str:
    return requirement.partition("==")[0]
