"""Reads a .wandb file record by record: blocks of a LevelDB log, each record one of wandb's messages."""

import json
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_HEAD, _BLOCK, _RECORD = 7, 32768, 7
_FIRST, _FULL, _LAST = 2, 1, 4


def records(file: Path) -> list[Record]:
    """All records of a file; what a killed process has cut off at its end is none."""
    data, position, found, parts = file.read_bytes(), _HEAD, [], b""
    while position + _RECORD <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _RECORD:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + _RECORD])
        position += _RECORD
        if position + length > len(data):
            break
        piece = data[position : position + length]
        parts = piece if kind in (_FULL, _FIRST) else parts + piece
        position += length
        if kind in (_FULL, _LAST):
            found.append(Record.FromString(parts))
    return found


def histories(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The history of every run in W&B's folder, from all files that it has there."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(folder.glob("*run-*/run-*.wandb")):
        if file.parent.is_symlink():
            continue
        for record in records(file):
            if record.HasField("history"):
                row = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                found[file.stem.removeprefix("run-")].append(row)
    return dict(found)
