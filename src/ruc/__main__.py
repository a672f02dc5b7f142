"""`python -m ruc` is `ruc`: for where a script's folder isn't on the path."""

from ruc.cli import main

if __name__ == "__main__":
    main()
