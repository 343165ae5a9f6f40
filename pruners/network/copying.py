"""Copies of networks, those included that copy.deepcopy refuses for a tensor they keep."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from pruners.errors import PrunerError
from pruners.network.layer_names import named_modules
from pruners.network.readiness import check_has_values


def copied(model: nn.Module) -> nn.Module:
    """Copy a network, also where copy.deepcopy gives up for a tensor that belongs to a computation.

    A kept activation, or the weight that torch.nn.utils.prune made of its mask, is copied without its
    history. Raises PrunerError for a network without values (Lazy modules, the meta device), and one that
    names the module and the attribute for what cannot be copied: a lock, an open file, a generator.
    """
    check_has_values(model)
    # deepcopy takes what memo holds for the copy of what has this id
    memo: dict[int, Any] = {id(t): t.detach().clone() for t in _computed_tensors(model)}
    try:
        return deepcopy(model, memo)
    except MemoryError:
        raise
    except Exception as error:
        raise PrunerError(f"The network cannot be copied: {_culprit(model) or error}") from error


def _computed_tensors(model: nn.Module) -> Iterator[Tensor]:
    """Find the tensors with a history in the modules' attributes, and in lists and dictionaries there."""
    values = [
        v for m in model.modules() for name, v in vars(m).items() if name not in ("_parameters", "_modules")
    ]
    seen: set[int] = set()
    while values:
        value = values.pop()
        if isinstance(value, Tensor):
            if not value.is_leaf:
                yield value
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            values.extend(value.values() if isinstance(value, Mapping) else value)


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
                where = (
                    f"module {name!r} ({type(module).__name__})" if name else f"its {type(module).__name__}"
                )
                return (
                    f"attribute {attribute!r} of {where} is a {type(value).__name__} that "
                    f"copy.deepcopy refuses ({error}). "
                    f"Leave it out in __getstate__, or give the module a __deepcopy__."
                )
    return None
