"""Writes the files of ``ray up``, cluster.yaml and those beside this script, from what they share."""

from pathlib import Path

import jinja2

_HERE = Path(__file__).parent
_PACKAGES = "make python3-venv rsync nfs-common"
_MOUNTED = "mkdir -p ~/studies && (mountpoint --quiet ~/studies || sudo mount -t nfs4 {server}:/ ~/studies)"
_EXPORT = "$HOME/studies *(rw,fsid=0,no_subtree_check,no_root_squash)"
_LENT_BY_THE_HEAD = {
    "packages": _PACKAGES,
    "head_setup": [
        "mkdir -p ~/studies && sudo apt-get install --quiet --yes nfs-kernel-server",
        f'echo "{_EXPORT}" | sudo tee /etc/exports && sudo exportfs -ra',
    ],
    "worker_start": [_MOUNTED.format(server="$RAY_HEAD_IP")],
}
FILES = {
    "aws": {
        "packages": _PACKAGES,
        "setup": [_MOUNTED.format(server="studies.tombola.internal"), "sudo chown ubuntu ~/studies"],
    },
    "azure": _LENT_BY_THE_HEAD,
    "gcp": _LENT_BY_THE_HEAD,
    # Ray's newer autoscaler starts one of several workers of one's own and then begins again and again.
    "local": {"head_environment": "RAY_enable_autoscaler_v2=0 "},
}
"""What differs below the line that all files share."""


def path(name: str) -> Path:
    """Return where the file of a provider belongs."""
    return _HERE.parent / "cluster.yaml" if name == "aws" else _HERE / f"{name}.yaml"


def text(name: str) -> str:
    """Return what belongs there."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "source"), keep_trailing_newline=False, autoescape=False
    )
    written = (
        f"Written by `make clusters` from clusters/source/{name}.yaml.jinja: edit that to keep a change."
    )
    return environment.get_template(f"{name}.yaml.jinja").render(written=written, **FILES[name]) + "\n"


if __name__ == "__main__":
    for name in FILES:
        path(name).write_text(text(name))
