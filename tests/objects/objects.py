"""What lies in an object store, for tests to look at and to damage."""

import json
from collections import Counter

from trainables.places.object_path import ObjectPath
from trainables.places.place import place_of, write_whole


def below(url: str, ending: str = "") -> list[ObjectPath]:
    """The objects below ``url`` whose key ends so, in order."""
    folder = place_of(url)
    assert isinstance(folder, ObjectPath)
    return [ObjectPath(folder.url, e.key) for e in folder.bucket.below(folder.key) if e.key.endswith(ending)]


def truncate(path: ObjectPath) -> None:
    """Cut an object in half."""
    content = path.read_bytes()
    write_whole(path, content[: len(content) // 2])


def flip(path: ObjectPath) -> None:
    """Turn one bit in the middle of an object."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    write_whole(path, bytes(content))


def epochs_trained(url: str) -> Counter[tuple[str, int]]:
    """How often each epoch of each trajectory below ``url`` was begun, by the store's own training logs."""
    return Counter(
        (log.parent.name, json.loads(line)["epoch"])
        for log in below(url, "training_log.jsonl")
        for line in log.read_text().splitlines()
    )
