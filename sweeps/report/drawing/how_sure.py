"""How sure a difference between two networks is, in words."""

from sweeps.study.selection.comparison import Comparison


def how_sure(found: Comparison) -> str:
    """Say, behind a difference, whether it is a tie or more than chance, and from what that is told."""
    if found.error is None:
        return ", which one seed cannot tell from chance"
    told = f"{found.chance}, {found.over}" if found.p is not None else found.over
    if found.is_tie:
        return f", a tie within its standard error ({told})"
    return f", {'more than' if found.is_sure else 'not told from'} chance ({told})"
