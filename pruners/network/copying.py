"""Copies of networks, those included that copy.deepcopy refuses for a tensor they keep."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.network.layer_names import named_modules
from pruners.network.readiness import check_has_values


def copied(model: nn.Module, instead: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Copy a network, also where copy.deepcopy gives up for a tensor that belongs to a computation.

    A kept activation, or the weight that torch.nn.utils.prune made of its mask, is copied without its
    history. The copy has the tensors of ``instead`` in place of those with these ids.

    Raises PrunerError for a network without values (Lazy modules, the meta device), and one that
    names the module and the attribute for what cannot be copied: a lock, an open file, a generator. So it
    does for a function that holds on to the network's own modules: a copy of a function is that very
    function, and would go on using the given network.
    """
    check_has_values(model)
    _check_functions(model)
    # deepcopy takes what memo holds for the copy of what has this id
    memo: dict[int, Any] = {id(t): t.detach().clone() for t in _computed_tensors(model)} | dict(instead or {})
    try:
        return deepcopy(model, memo)
    except MemoryError:
        raise
    except Exception as error:
        raise PrunerError(f"The network cannot be copied: {_culprit(model) or error}") from error


def values_kept(module: nn.Module) -> Iterator[Any]:
    """List what a module keeps in attributes and containers there, beside parameters and submodules."""
    # the last is what module.compile() made, which copies leave out
    registered = ("_parameters", "_modules", "_compiled_call_impl")
    return _inside([value for name, value in vars(module).items() if name not in registered])


def _inside(values: Iterable[Any]) -> Iterator[Any]:
    """The values, those of lists, tuples, sets and mappings in place of these."""
    waiting, seen = list(values), set[int]()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, Mapping | list | tuple | set):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, Mapping) else value)


def _computed_tensors(model: nn.Module) -> Iterator[Tensor]:
    """The tensors with a history that the modules keep."""
    for module in model.modules():
        yield from (v for v in values_kept(module) if isinstance(v, Tensor) and not v.is_leaf)


def _check_functions(model: nn.Module) -> None:
    own = {id(one) for one in (*model.modules(), *model.parameters(), *model.buffers())}
    for name, module in named_modules(model):
        for value in values_kept(module):
            # a method's object and a partial's arguments are copied, what their function holds is not
            function = value.__func__ if isinstance(value, MethodType) else value
            function = function.func if isinstance(function, partial) else function
            if isinstance(function, FunctionType) and any(id(held) in own for held in _held_by(function)):
                raise PrunerError(
                    f"The network cannot be copied: {_where(name, module)} keeps {function.__qualname__}, a "
                    "function that holds on to the network's own modules, so that a copy would go on using "
                    "these. Make it a method."
                )


def _where(name: str, module: nn.Module) -> str:
    return f"module {name!r} ({type(module).__name__})" if name else f"its {type(module).__name__}"


def _held_by(function: FunctionType) -> Iterator[Any]:
    """The function, what the code around gave it, and what functions among that were given in turn."""
    waiting: list[Any] = [function]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, MethodType):
            waiting += [value.__self__, value.__func__]
        elif isinstance(value, partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, FunctionType):
            # a cell is empty as long as the code around has not come to give it its value
            cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
            waiting += _inside([*cells, value.__defaults__ or (), value.__kwdefaults__ or {}])


def _culprit(model: nn.Module) -> str | None:
    """Say which attribute of which module cannot be copied, and why.

    None where each of them can on its own.
    """
    for name, module in named_modules(model):
        memo: dict[int, Any] = {id(t): t.detach() for t in _computed_tensors(module)}
        # a helper that points back at a module is none of the culprits for what that module holds
        memo |= {id(other): other for other in model.modules()}
        for attribute, value in vars(module).items():
            try:
                deepcopy(value, dict(memo))
            except Exception as error:
                return (
                    f"attribute {attribute!r} of {_where(name, module)} is a {type(value).__name__} that "
                    f"copy.deepcopy refuses ({error}). "
                    f"Leave it out in __getstate__, or give the module a __deepcopy__."
                )
    return None
