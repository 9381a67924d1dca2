"""Compute nodes. Modules that are given to ``python -m easyremote.node`` register functions here::

from easyremote.node import node

@node.register
def add(a, b):
    return a + b
"""

from easyremote.node.functions import Registrar

#: The node that a module registers functions for, whichever process will serve them.
node = Registrar()

__all__ = ["node"]
