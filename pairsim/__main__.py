"""Runs the command line as `python -m pairsim`."""

from pairsim.cli import main

if __name__ == "__main__":
    main()
