"""``tombola doctor``."""

import click

from sweeps.errors import FAILED


@click.command()
def doctor() -> int:
    """Check this machine: packages that belong together, GPUs, disk, W&B."""
    from sweeps.commands.texts.diagnosis import diagnose

    findings = diagnose()
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'MEND'}  {finding.name}: {finding.sentence}")
        if not finding.ok and finding.mend:
            click.echo(f"      {finding.mend}")
    return 0 if all(f.ok for f in findings) else FAILED
