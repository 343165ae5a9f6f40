"""How much of the cluster trials hold."""

import ray


def in_use() -> str:
    """Say how many of the cluster's CPUs and GPUs are held by trials; nothing without Ray."""
    if not ray.is_initialized():
        return ""
    try:
        there, free = ray.cluster_resources(), ray.available_resources()
    except Exception:  # Ray is away, and what is lost with it is said elsewhere
        return ""
    told = [
        f"{kind}s {there[kind] - free.get(kind, 0):g} of {there[kind]:g}"
        for kind in ("CPU", "GPU")
        if kind in there
    ]
    return f"{', '.join(told)} in use" if told else ""
