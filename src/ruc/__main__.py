"""`ruc`, and `python -m ruc` for where a script's folder isn't on the path."""

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line as `ruc.cli` does; Ctrl-C ends in a line too while all that it needs is imported."""
    try:
        from ruc.cli import main as run

        run(arguments)
    except KeyboardInterrupt as error:
        if "--debug" in (sys.argv if arguments is None else arguments):
            raise
        from ruc.last_line import last_line

        said = last_line(error)
        assert said is not None
        sys.stderr.write(f"ruc: {said[0]}\n")
        sys.exit(said[1])


if __name__ == "__main__":
    main()
