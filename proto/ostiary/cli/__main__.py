"""`python -m ostiary.cli` is the `ostiary` command."""

from ostiary.cli.main import main

main()
