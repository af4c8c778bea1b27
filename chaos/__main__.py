"""`python -m chaos` is `pairsim-chaos`."""

from chaos.main import main

if __name__ == "__main__":
    main()
