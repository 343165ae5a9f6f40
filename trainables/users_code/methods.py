"""Methods by name, those of the user's own with their source taken down."""

import pruners
from trainables.users_code import factory
from trainables.users_code.source_digest import source_digests


def method_named(name: str) -> pruners.Method:
    """Return a built-in method by its name, or the user's own by its ``package.module:Class``.

    Raises `pruners.PrunerError` where there is none or it could not be used, `TaskError` for one in a module
    without a file.
    """
    method = pruners.method_named(name)
    if factory.is_reference(name):
        factory.take_down(name)
    return method


def method_source(name: str) -> dict[str, str]:
    """Digest the user's modules that a method is made of, by module name; none of a built-in one.

    Raises as `method_named` does.
    """
    if not factory.is_reference(name):
        return {}
    method_named(name)
    return source_digests([name])
