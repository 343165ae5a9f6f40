"""The option ``--cluster``: a command about a study is given on the head of a cluster instead of here."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click

NAME = "cluster"
cluster_option = click.option(
    "--cluster",
    NAME,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="On the cluster that `ray up FILE` started; a DIR is then below the nodes' ~/studies.",
)


def also_on_a_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--cluster``, with which it is carried out as it was typed, on the head."""

    @cluster_option
    @click.pass_context
    @wraps(command)
    def wherever(ctx: click.Context, /, **options: Any) -> Any:
        cluster = options.pop(NAME)
        if cluster is None:
            return command(**options)
        from sweeps.cluster.head import Head  # Ray's part that speaks to clouds takes seconds to import

        return Head(cluster).tombola(as_typed(ctx))

    return wherever


def as_typed(ctx: click.Context, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """Return the words of the command that ``ctx`` carries out, without ``--cluster``."""
    assert ctx.info_name is not None
    return [ctx.info_name, *_words(ctx, leave_out | {NAME})]


def _words(ctx: click.Context, leave_out: frozenset[str]) -> Iterator[str]:
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        if parameter.name in leave_out or value is None or value is False:
            continue
        if isinstance(parameter, click.Argument):
            yield str(value)
        elif value is True:
            yield parameter.opts[0]
        else:
            for one in value if isinstance(value, tuple) else [value]:
                yield f"{parameter.opts[0]}={one}"
