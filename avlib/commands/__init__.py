"""The commands of avlib that have a module each, and the options that they share. `avlib.cli` has the rest."""
