"""Runs the command line as `python -m pairsim`."""

from pairsim.system.module_search import demote_current_folder

if __name__ == "__main__":
    demote_current_folder()
    from pairsim.cli import main  # its imports must not find a file of the current folder

    main()
