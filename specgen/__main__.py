"""`python -m specgen`: the command line without an installed script."""

from specgen.cli.main import entry

entry()
