"""The command line, ``nst``: see ``main`` for the parser, ``pictures`` and ``networks`` for the commands."""
