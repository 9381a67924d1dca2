"""EasyRemote in Jupyter: the magics (an IPython extension) and the panel (a server extension)."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext easyremote_jupyter``: register the magics."""
    from .cells import CellTransformer
    from .companions import Companions
    from .completion import matcher, what_is_known
    from .environment import EnvironmentMagics
    from .files import FileMagics
    from .job_magics import JobMagics
    from .jobs import Jobs
    from .magics import RemoteMagics
    from .places import Places
    from .variables import VariableMagics
    from .widgets import Widgets

    unload_ipython_extension(ipython)
    places, jobs, widgets = Places(), Jobs(), Widgets(ipython)
    ipython.register_magics(RemoteMagics(ipython, places, jobs, widgets))
    ipython.register_magics(JobMagics(ipython, jobs))
    ipython.events.register("pre_run_cell", jobs.settle)
    ipython.register_magics(Companions(ipython, places, jobs, widgets))
    ipython.register_magics(VariableMagics(ipython, places))
    ipython.register_magics(EnvironmentMagics(ipython, places))
    ipython.register_magics(FileMagics(ipython, places))
    ipython.input_transformers_cleanup.append(CellTransformer(lambda: places.is_auto))
    ipython.Completer.custom_matchers.append(matcher(what_is_known(ipython, places)))


def unload_ipython_extension(ipython: Any) -> None:
    """``%unload_ext easyremote_jupyter``: what it hooked into the shell is taken out again."""
    from .cells import CellTransformer
    from .completion import is_ours
    from .jobs import Jobs

    transformers = ipython.input_transformers_cleanup
    transformers[:] = [each for each in transformers if not isinstance(each, CellTransformer)]
    for callback in list(ipython.events.callbacks["pre_run_cell"]):
        if isinstance(getattr(callback, "__self__", None), Jobs):
            ipython.events.unregister("pre_run_cell", callback)
    companions = ipython.magics_manager.registry.get("Companions")
    if companions is not None:
        companions.close()
    matchers = ipython.Completer.custom_matchers
    matchers[:] = [each for each in matchers if not is_ours(each)]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "../../labextension/dist", "dest": "easyremote"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .server import EasyRemoteApp

    return [{"module": "easyremote_jupyter", "app": EasyRemoteApp}]
