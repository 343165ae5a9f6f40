"""The names of a lottery's curves over the density."""


def with_spread(track: str, mean: float, spread: float) -> dict[str, float]:
    """Return a track's point: the mean over the seeds, and a standard deviation to both sides of it."""
    name = f"density/{track}"
    beside = {f"{name}_low": mean - spread, f"{name}_high": mean + spread} if spread else {}
    return {name: mean, **beside}
