"""Brings values that stayed on a node, because a local cell is about to read them.

Up to 1 GB a cell is brought, with a bar. A line tells of what is larger, and of what is gone.
``tests/jupyter_extension/here/test_values.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from easyremote.client.files.sending import bar
from easyremote.client.refs import RemoteRef, size_text
from easyremote.errors import EasyRemoteError
from easyremote_jupyter.output.display import Output, show_notice
from easyremote_jupyter.places.places import Places

__all__ = ["Values"]

#: Bytes that are brought for one cell without being asked for.
BROUGHT_MAX = 1_000_000_000


class Values:
    """The values that stayed on nodes, as a notebook's cells use them.

    Parameters
    ----------
    shell
        The notebook's shell, whose namespace has the references.
    places
        Its places: their sessions have the values, and are not sent them again.
    """

    def __init__(self, shell: Any, places: Places) -> None:
        self._shell, self._places = shell, places

    def bring(self, refs: Mapping[str, RemoteRef]) -> None:
        """Put the values of references in their places, as far as they can be brought."""
        left = BROUGHT_MAX
        brought = dict[int, Any]()  # two names may have one reference
        for name, ref in sorted(refs.items(), key=lambda item: item[1].size):
            if not ref.size:
                continue  # it can't travel: whoever uses the reference is told
            if id(ref) not in brought:
                if ref.size > left:
                    show_notice(
                        f"{name} ({ref.type_name}, {size_text(ref.size)}) stays on "
                        f"{ref.where.node_id}: {name}.get() brings it here, "
                        f"{name}.eval('...') computes there what _ stands for"
                    )
                    continue
                left -= ref.size
                try:
                    brought[id(ref)] = self._brought(name, ref)
                except (EasyRemoteError, ImportError) as error:
                    show_notice(f"{name} stays on {ref.where.node_id}: {error}")
                    if (place := self._places.of(ref.where)) is not None:
                        place.held.forget()  # what came in part was not noted
                    continue
            self._shell.user_ns[name] = brought[id(ref)]

    def _brought(self, name: str, ref: RemoteRef) -> Any:
        with Output(self._shell) as output:
            what = f"{name} from {ref.where.node_id}"
            moved = bar(what, ref.size, 0, output.show, leave=False)
            place = self._places.of(ref.where)
            is_named = place is not None and name == ref.name
            graph = place.held.graph if place is not None and is_named else None
            value = ref.get(lambda there, size: moved(min(there, ref.size - 1)), graph)
            moved(ref.size)
        return value
