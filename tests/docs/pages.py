"""The documentation's pages, taken apart: fenced blocks, tables and links."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in (*PROJECT.glob("*.md"), *sorted((PROJECT / "docs").glob("*.md")))
}


@dataclass(frozen=True)
class Block:
    """A fenced block; ``file`` is the name that its first line gives it, as in ``# wine.py``."""

    page: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        first = re.match(r"# (\w+\.(?:py|yaml))\n", self.text)
        return first[1] if first else None


def blocks(page: str, *languages: str) -> list[Block]:
    """The page's blocks in these languages, all of them where none is named."""
    found = [
        Block(page, language, text)
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)
    ]
    return [block for block in found if not languages or block.language in languages]


def command_lines(block: Block) -> list[list[str]]:
    """A shell block's commands as words, without redirections and variables set for one command."""
    lines = [shlex.split(line.split(" > ")[0]) for line in block.text.splitlines()]
    return [
        [word for n, word in enumerate(line) if not (n == 0 and re.fullmatch(r"[A-Z_]+=\S*", word))]
        for line in lines
    ]


def section(page: str, heading: str) -> str:
    """What stands below a heading, down to the next."""
    [text] = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    return str(text)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a text as rows of cells, titles first; backquotes around a whole cell are taken off."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    split = [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        for table in found
    ]
    return [
        [[re.sub(r"^`([^`]*)`$", r"\1", cell) for cell in row] for n, row in enumerate(table) if n != 1]
        for table in split
    ]
