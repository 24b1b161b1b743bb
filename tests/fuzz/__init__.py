"""Damaged and hostile files given to the command line, and what must hold of how it ends.

`cd tests && python -m fuzz --inputs 10000 --seed 1 [--kinds NAME ...]`

A kind of input is one file in `kinds/`: how sound files are made, how one is damaged, and the commands that read it.
"""
