"""Prints a text file of a study, on the machine that reaches the study."""

import sys

from sweeps.study.where import study_place


def main(study: str, name: str) -> None:
    """Print the file ``name`` of a study, or say in a sentence that it cannot be read."""
    try:
        sys.stdout.write((study_place(study) / name).read_text())
    except FileNotFoundError:
        sys.exit(f"{study}: holds no {name}.")
    except OSError as error:
        sys.exit(f"{study}: its {name} cannot be read: {error}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
