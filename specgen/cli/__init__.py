"""The command line: one thin file for each command, imported when the command is given.

A command reads options, asks the function that Python asks (`questions.ask`, `documents`,
`huggingface`, `output.build`), and prints.  It holds no decision of its own: what is at fault
in a request is said by the function that is asked.
"""
