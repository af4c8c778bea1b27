"""The entry of `pairsim-controller`: the command, or a sentence that names the extra to install."""

from pairsim.cli.extras import load_command

main = load_command("pairsim_controller.cli.main", "main", "controller")

if __name__ == "__main__":
    main()
