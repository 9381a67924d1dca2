"""EasyRemote in Jupyter: the magics (an IPython extension) and the panel (a server extension)."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext easyremote_jupyter``: register the magics."""
    from easyremote.client.client import connect_soon

    connect_soon()  # beside what follows, because both take a while
    from easyremote_jupyter.here.reads import LocalReads
    from easyremote_jupyter.here.values import Values
    from easyremote_jupyter.jobs import Jobs
    from easyremote_jupyter.magics.cells import CellTransformer
    from easyremote_jupyter.magics.companions import Companions
    from easyremote_jupyter.magics.completion import matcher, what_is_known
    from easyremote_jupyter.magics.environment_magic import EnvironmentMagics
    from easyremote_jupyter.magics.file_magics import FileMagics
    from easyremote_jupyter.magics.job_magics import JobMagics
    from easyremote_jupyter.magics.remote import RemoteMagics
    from easyremote_jupyter.magics.restart_magic import RestartMagics
    from easyremote_jupyter.magics.variable_magics import VariableMagics
    from easyremote_jupyter.output.tracebacks import install
    from easyremote_jupyter.places.places import Places
    from easyremote_jupyter.places.questions import Questions
    from easyremote_jupyter.widgets.widgets import Widgets

    unload_ipython_extension(ipython)
    install(ipython)
    places, jobs, widgets = Places(ipython.user_ns), Jobs(), Widgets(ipython)
    remote = RemoteMagics(ipython, places, jobs, widgets)
    ipython.register_magics(remote)
    ipython.register_magics(RestartMagics(ipython, places, widgets, remote.run_again))
    ipython.register_magics(JobMagics(ipython, jobs, places, remote.bind_kept))
    ipython.events.register("pre_run_cell", jobs.settle)
    ipython.events.register("post_run_cell", places.prune)
    ipython.events.register("post_run_cell", Questions(ipython, places).cell_ran)
    reads = LocalReads(ipython.user_ns, Values(ipython, places).bring)
    ipython.events.register("pre_run_cell", reads.cell_begins)
    ipython.ast_transformers.append(reads)
    ipython.register_magics(Companions(ipython, places, jobs, widgets))
    ipython.register_magics(VariableMagics(ipython, places))
    ipython.register_magics(EnvironmentMagics(ipython, places))
    ipython.register_magics(FileMagics(ipython, places))
    ipython.input_transformers_cleanup.append(CellTransformer(lambda: places.is_auto))
    ipython.Completer.custom_matchers.append(reads.completion_begins)
    ipython.Completer.custom_matchers.append(matcher(what_is_known(ipython, places)))


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext easyremote_jupyter``: take everything of ours out of the shell."""
    from easyremote_jupyter.here.reads import LocalReads
    from easyremote_jupyter.jobs import Jobs
    from easyremote_jupyter.magics.cells import CellTransformer
    from easyremote_jupyter.magics.completion import is_ours
    from easyremote_jupyter.output.tracebacks import uninstall
    from easyremote_jupyter.places.places import Places
    from easyremote_jupyter.places.questions import Questions

    uninstall(ipython)
    transformers = ipython.input_transformers_cleanup
    transformers[:] = [each for each in transformers if not isinstance(each, CellTransformer)]
    for event in ("pre_run_cell", "post_run_cell"):
        for callback in list(ipython.events.callbacks[event]):
            ours = getattr(callback, "__self__", None)
            if isinstance(ours, Questions):
                ours.close()
            if isinstance(ours, Jobs | LocalReads | Places | Questions):
                ipython.events.unregister(event, callback)
    ipython.ast_transformers[:] = [
        each for each in ipython.ast_transformers if not isinstance(each, LocalReads)
    ]
    companions = ipython.magics_manager.registry.get("Companions")
    if companions is not None:
        companions.close()
    matchers = ipython.Completer.custom_matchers
    matchers[:] = [each for each in matchers if not is_ours(each)]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "../../labextension/dist", "dest": "easyremote"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from easyremote_jupyter.server import EasyRemoteApp

    return [{"module": "easyremote_jupyter", "app": EasyRemoteApp}]
