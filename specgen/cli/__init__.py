"""The command line: one thin file for each command, imported when the command is given."""
