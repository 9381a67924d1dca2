"""The extension application: it owns the feed and names the paths.

Enabled by ``etc/jupyter/jupyter_server_config.d/easyremote.json`` of the wheel.
``tests/jupyter_extension/server/test_app.py`` proves that a server loads it.
"""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp

from easyremote_jupyter.server.feed import Feed
from easyremote_jupyter.server.handlers import SnapshotHandler, StreamHandler


class EasyRemoteApp(ExtensionApp):
    """EasyRemote in a Jupyter server; the gateway and the key are the server's own settings."""

    name = "easyremote"

    def initialize_settings(self) -> None:
        self.feed = Feed()

    def initialize_handlers(self) -> None:
        self.handlers += [
            ("easyremote/nodes", SnapshotHandler, {"feed": self.feed, "part": "nodes"}),
            ("easyremote/jobs", SnapshotHandler, {"feed": self.feed, "part": "jobs"}),
            ("easyremote/stream", StreamHandler, {"feed": self.feed}),
        ]

    async def stop_extension(self) -> None:
        await self.feed.aclose()
