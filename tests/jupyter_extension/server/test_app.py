"""The extension is found by a Jupyter server, and only by one."""

from __future__ import annotations

import subprocess
import sys

import easyremote_jupyter
from easyremote_jupyter.server import EasyRemoteApp
from tests import processes


def test_the_config_file_of_the_wheel_enables_the_extension(jupyter: processes.Jupyter) -> None:
    assert "easyremote_jupyter | extension was successfully loaded" in jupyter.log.read_text()


def test_the_package_names_the_application() -> None:
    [point] = easyremote_jupyter._jupyter_server_extension_points()
    assert point == {"module": "easyremote_jupyter", "app": EasyRemoteApp}


def test_a_kernel_that_loads_the_magics_never_imports_a_jupyter_server() -> None:
    program = "import sys, easyremote_jupyter; sys.exit('jupyter_server' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
