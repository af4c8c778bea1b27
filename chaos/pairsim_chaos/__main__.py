"""The entry of `pairsim-chaos`: the command, or a sentence that names the extra to install."""

from pairsim.cli.extras import load_command

main = load_command("pairsim_chaos.cli.main", "main", "chaos")

if __name__ == "__main__":
    main()
