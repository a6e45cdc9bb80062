"""Run the command line with ``python -m oban_pro``."""

from oban_pro.cli import main

if __name__ == "__main__":
    main(prog_name="oban-workflows")
