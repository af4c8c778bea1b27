"""Runs the command `pairsim-chaos` as `python -m pairsim_chaos`."""

from pairsim_chaos.cli.main import main

if __name__ == "__main__":
    main()
