"""`python -m chaos` is `pairsim-chaos`."""

from pairsim_chaos.cli.main import main

if __name__ == "__main__":
    main()
