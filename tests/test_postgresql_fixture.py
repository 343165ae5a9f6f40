import optuna
import psycopg
import pytest


def test_a_study_lives_in_the_database(postgresql: str) -> None:
    study = optuna.create_study(storage=postgresql, study_name="fixture")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(optuna.load_study(storage=postgresql, study_name="fixture").trials) == 2


def test_the_password_is_needed(postgresql: str) -> None:
    plain = postgresql.replace("+psycopg", "")
    password = plain.split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(plain.replace(password, "wrong"))
