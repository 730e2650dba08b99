"""`python -m fmgrid` is `fmgrid`."""

from fmgrid.cli import main

if __name__ == "__main__":
    main()
