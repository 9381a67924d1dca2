"""The Jupyter server extension: what the panel in the browser talks to.

The server owns the only connection to the gateway and the only copy of the key; the browser sees
neither.
``app`` is the extension, ``handlers`` its REST and WebSocket paths, ``feed`` the one upstream
connection that all tabs share, ``messages`` what travels to the browser.
Imported by Jupyter servers only: a kernel that loads the magics never gets here.
"""

from easyremote_jupyter.server.app import EasyRemoteApp

__all__ = ["EasyRemoteApp"]
