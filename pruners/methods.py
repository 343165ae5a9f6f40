"""The methods there are. A new one is a file of its own and a line here."""

from pruners.alds import ALDS
from pruners.errors import UnknownMethod, nearest
from pruners.method import Method
from pruners.svd import SVD
from pruners.svd_energy import SVDEnergy

_METHODS: tuple[Method, ...] = (
    ALDS(),
    SVD(),
    SVDEnergy(),
)


def methods() -> dict[str, Method]:
    """Every method by name, with title, paper, needs and options."""
    return {method.name: method for method in _METHODS}


def method_named(name: str) -> Method:
    """The method of this name; UnknownMethod with the nearest name where there is none."""
    known = methods()
    if name not in known:
        raise UnknownMethod(f"There is no method {name!r}{nearest(str(name), known)}")
    return known[name]
