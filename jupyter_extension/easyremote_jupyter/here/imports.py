"""Modules that a remote cell has imported: here they are imported when something first uses them.

``import numpy as np`` on a node binds ``np`` here as well. A module that is loaded already is bound
as it is; any other is a `DeferredModule` until its first use, so that a large one costs nothing to
those who use it on the node only. What the cell took out of such a module (``from x import f``,
``from x import *``) is a `DeferredName` until then. A local cell that names one of the two gets the
real thing before it runs (``reads.py``); other uses (``eval``, a function that ran first) meet the
deferred one, which passes them on to the real thing and puts that in its place. A package that is
not installed here is told of at that use.
``tests/jupyter_extension/here/test_imports.py`` proves it.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from easyremote_jupyter.magics.missing import requirement_for

__all__ = ["DeferredModule", "DeferredName", "bind"]

#: Module, attribute (empty for the module itself), and the name that a cell binds to it.
Import = tuple[str, str, str]

#: Attributes that are looked for in any value, also in one that is only passed on.
_LOOKED_FOR = frozenset({"__wrapped__", "_ipython_canary_method_should_not_exist_"})


def bind(
    space: dict[str, Any],
    modules: Mapping[str, str],
    names: Mapping[str, tuple[str, str]],
    written: Iterable[Import] = (),
) -> None:
    """Bind what a remote cell has imported.

    Parameters
    ----------
    space
        The notebook's namespace.
    modules
        Modules by the names that the cell gave them.
    names
        What the cell took out of modules, by the names that the cell gave it: module, attribute.
    written
        The imports as they stand in the cell: ``import a.b`` binds ``a``, and loads ``a.b``.
    """
    for name, module in modules.items():
        parts = {m for m, attribute, bound in written if bound == name and not attribute}
        wanted = [module, *sorted(each for each in parts if each.startswith(f"{module}."))]
        is_loaded = all(each in sys.modules for each in wanted)
        space[name] = sys.modules[module] if is_loaded else DeferredModule(wanted, space)
    for name, (module, attribute) in names.items():
        found = getattr(sys.modules.get(module), attribute, None)
        space[name] = DeferredName(module, attribute, space) if found is None else found


class _Deferred:
    """What is loaded by the first look at one of its attributes."""

    __slots__ = ()

    def load(self) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name in _LOOKED_FOR:
            raise AttributeError(name)
        return getattr(self.load(), name)

    def __dir__(self) -> Iterable[str]:
        return dir(self.load())


class DeferredModule(_Deferred, types.ModuleType):
    """A module that is imported when it is used first.

    Parameters
    ----------
    wanted
        The module's name, then the names of its submodules that are imported with it.
    space
        The namespace in which the module takes the place of this.
    """

    __slots__ = ("_space", "_wanted")

    def __init__(self, wanted: list[str], space: dict[str, Any]) -> None:
        super().__init__(wanted[0])
        # Without these the module's own are found, by `__getattr__`.
        for name in ("__doc__", "__loader__", "__package__"):
            del self.__dict__[name]
        # `easyremote.serialize.modules` takes a module without a spec for one of the user's own.
        self.__dict__["__spec__"] = importlib.machinery.ModuleSpec(wanted[0], None)
        set_slot = super().__setattr__
        set_slot("_wanted", wanted)
        set_slot("_space", space)

    def load(self) -> types.ModuleType:
        """Import the module, and bind it where this is bound.

        Raises
        ------
        ImportError
            It can't be imported; the message says what to install.
        """
        real = [_import(name) for name in self._wanted][0]
        _replace(self._space, self, real)
        return real

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.load(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.load(), name)

    def __repr__(self) -> str:
        try:
            return repr(self.load())
        except ImportError as error:
            return f"<module {self.__name__!r}: {error}>"

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.__name__,)


DeferredModule.__name__ = DeferredModule.__qualname__ = "module"


class DeferredName(_Deferred):
    """A function or class that a remote cell has taken out of a module that is not loaded here."""

    def __init__(self, module: str, attribute: str, space: dict[str, Any]) -> None:
        self.__dict__.update(__module__=module, _attribute=attribute, _space=space)

    def load(self) -> Any:
        """Import it, and bind it where this is bound.

        Raises
        ------
        ImportError
            It can't be imported; the message says what to install.
        """
        module, attribute = self.__module__, self._attribute
        try:
            real = getattr(_import(module), attribute)
        except AttributeError:
            raise ImportError(
                f"{module} here has no {attribute!r}, which a remote cell has taken from it there: "
                f"another version? %remote_env compares the two.",
                name=module,
            ) from None
        _replace(self._space, self, real)
        return real

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load()(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self.load()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.load())

    def __or__(self, other: Any) -> Any:
        return self.load() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.load()

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, self.load())

    def __subclasscheck__(self, value: type) -> bool:
        return issubclass(value, self.load())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.load(),)

    def __repr__(self) -> str:
        try:
            return repr(self.load())
        except ImportError as error:
            return f"<{self.__module__}.{self._attribute}: {error}>"

    def __reduce__(self) -> Any:
        return getattr, (DeferredModule([self.__module__], {}), self._attribute)


def _import(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing != name and not name.startswith(f"{missing}."):
            raise  # the module is here; something that it needs is not
        package = requirement_for(missing.partition(".")[0])
        raise ModuleNotFoundError(
            f"{missing} is not installed here, only on the node: %pip install {package} brings it; "
            "%%remote cells can use it as it is",
            name=missing,
        ) from None


def _replace(space: dict[str, Any], deferred: object, real: object) -> None:
    for name in [name for name, value in space.items() if value is deferred]:
        space[name] = real
