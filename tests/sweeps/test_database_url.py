"""A database's URL as it may be shown: without any password that is written out in it."""

import pytest

from sweeps.errors import SweepError
from sweeps.study.database.url import from_environment, holds_password, parse, without_password

HOST = "postgresql+psycopg://me@host/studies"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host/studies", HOST),
        (f"{HOST}?password=secret", HOST),
        (f"{HOST}?sslkey=/key&sslpassword=secret", f"{HOST}?sslkey=%2Fkey"),
        ("mysql+pymysql://me@host/studies?passwd=secret", "mysql+pymysql://me@host/studies"),
    ],
)
def test_a_password_is_left_out(url: str, shown: str) -> None:
    assert holds_password(url) and without_password(url) == shown
    assert not holds_password(shown)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://me:${WORD}@host/studies", f"{HOST}?password=${{WORD}}"]
)
def test_the_name_of_its_variable_stays(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "se/c:r@t")
    assert not holds_password(url) and without_password(url) == url
    whole = from_environment(url)
    assert "se/c:r@t" in (whole.password, whole.query.get("password"))


@pytest.mark.parametrize("password", ["secret", "secret:secret", "secret@secret", "secret/secret"])
def test_what_is_no_url_shows_none_either(password: str) -> None:
    with pytest.raises(SweepError) as refused:
        parse(f"postgresql://me:{password}@host:port/studies")
    assert "secret" not in str(refused.value)
