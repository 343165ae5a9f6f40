import re

import pytest

from tests.docs.pages import PAGES, PROJECT

LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    if "://" not in target
]


def anchors(text: str) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    name, _, anchor = target.partition("#")
    file = (PROJECT / page).parent / name if name else PROJECT / page
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text(encoding="utf-8"))


def test_the_readme_leads_to_every_page() -> None:
    linked = {target for page, target in LINKS if page == "README.md"}
    assert {page for page in PAGES if page != "README.md"} <= linked
