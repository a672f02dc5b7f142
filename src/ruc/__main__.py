"""`ruc`, and `python -m ruc` for where a script's folder isn't on the path."""

import sys


def main() -> None:
    """Run the command line, for which much is imported: Ctrl-C in the meantime ends in a line too."""
    try:
        from ruc.cli import main as run
    except KeyboardInterrupt as error:
        from ruc.last_line import last_line

        said = last_line(error)
        assert said is not None
        sys.stderr.write(f"ruc: {said[0]}\n")
        sys.exit(said[1])
    run()


if __name__ == "__main__":
    main()
