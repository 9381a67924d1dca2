"""How the calls of a function are spread over the nodes that have it: the words for it.

What the words mean is decided by ``gateway/balancing.py``.
``tests/options/test_strategies.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping

from easyremote.errors import UsageError
from easyremote.options.spelling import check_word, check_words

__all__ = ["LEAST_LOADED", "ONE_NODE", "STRATEGIES", "parse_strategy"]

LEAST_LOADED = "least_loaded"
#: The strategies, by the word that people write: the word that travels, empty for the default.
STRATEGIES = {
    LEAST_LOADED: "",
    "round_robin": "round_robin",
    "latency": "latency",
    "weighted": "weighted",
    # The seed's word for what is the default here.
    "resource_aware": "",
}
#: What travels for False of ``register``: the name belongs to one node.
ONE_NODE = "one_node"


def parse_strategy(given: object) -> str:
    """Read the option ``load_balancing``: the word that travels.

    Parameters
    ----------
    given
        True or None for the default, a strategy, ``{"strategy": ...}``, or False for one node.

    Raises
    ------
    UsageError
        There is no such strategy.
    """
    if given is None or given is True:
        return ""
    if given is False:
        return ONE_NODE
    if isinstance(given, Mapping):
        check_words(given, ("strategy",), "load_balancing has no")
        if "strategy" not in given:
            raise UsageError("load_balancing={} names no strategy. Write {'strategy': NAME}.")
        given = given["strategy"]
    return STRATEGIES[check_word(given, STRATEGIES, "load_balancing")]
