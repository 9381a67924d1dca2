"""The extension application: it owns the feed and names the paths.

Enabled by ``etc/jupyter/jupyter_server_config.d/easyremote.json`` of the wheel.
``tests/jupyter_extension/server/test_app.py`` proves that a server loads it.
"""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp

from easyremote.panel.feed import PanelFeed
from easyremote.panel.logs import Logs
from easyremote.panel.runs import Runs
from easyremote_jupyter.server.first_run import FirstRun
from easyremote_jupyter.server.functions_handlers import (
    FunctionsHandler,
    RunHandler,
    RunResultHandler,
)
from easyremote_jupyter.server.handlers import PollHandler, SnapshotHandler, StreamHandler
from easyremote_jupyter.server.jobs_handlers import JobErrorHandler, JobLogHandler, JobStopHandler
from easyremote_jupyter.server.nodes_handlers import LendHandler, RulesHandler, UsageHandler
from easyremote_jupyter.server.sessions_handlers import (
    SessionReplaceHandler,
    SessionsHandler,
    VariableDeleteHandler,
    VariablesHandler,
)
from easyremote_jupyter.server.setup_handlers import ConnectHandler, SetupHandler, StartHandler

_JOB = r"easyremote/jobs/([0-9a-f]{32})"


class EasyRemoteApp(ExtensionApp):
    """EasyRemote in a Jupyter server; the gateway and the key are the server's own settings."""

    name = "easyremote"

    def initialize_settings(self) -> None:
        self.feed = PanelFeed()
        self.logs = Logs()
        self.runs = Runs()
        self.first_run = FirstRun()

    def initialize_handlers(self) -> None:
        feed = {"feed": self.feed}
        setup = {**feed, "first_run": self.first_run}
        self.handlers += [
            ("easyremote/nodes", SnapshotHandler, {**feed, "part": "nodes"}),
            ("easyremote/nodes/lend", LendHandler, feed),
            ("easyremote/nodes/rules", RulesHandler, feed),
            ("easyremote/usage", UsageHandler, feed),
            ("easyremote/jobs", SnapshotHandler, {**feed, "part": "jobs"}),
            (f"{_JOB}/log", JobLogHandler, {**feed, "logs": self.logs}),
            (f"{_JOB}/error", JobErrorHandler, feed),
            (f"{_JOB}/cancel", JobStopHandler, {**feed, "how": "cancel"}),
            (f"{_JOB}/kill", JobStopHandler, {**feed, "how": "kill"}),
            ("easyremote/functions", FunctionsHandler, feed),
            ("easyremote/functions/run", RunHandler, {**feed, "runs": self.runs}),
            ("easyremote/runs/([0-9a-f]{32})", RunResultHandler, {**feed, "runs": self.runs}),
            ("easyremote/sessions", SessionsHandler, feed),
            ("easyremote/sessions/variables", VariablesHandler, feed),
            ("easyremote/sessions/delete", VariableDeleteHandler, feed),
            ("easyremote/sessions/restart", SessionReplaceHandler, {**feed, "how": "restart"}),
            ("easyremote/sessions/end", SessionReplaceHandler, {**feed, "how": "end"}),
            ("easyremote/setup", SetupHandler, setup),
            ("easyremote/setup/start", StartHandler, setup),
            ("easyremote/setup/connect", ConnectHandler, setup),
            ("easyremote/stream", StreamHandler, feed),
            ("easyremote/poll", PollHandler, feed),
        ]

    async def stop_extension(self) -> None:
        await self.logs.aclose()
        await self.feed.aclose()
        await self.first_run.aclose()
