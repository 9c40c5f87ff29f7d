"""Wraps a host's plugins without a line of the host changed: `plugwarden run -- python -m host`.

wanted.py     the host file, plugwarden.toml: which groups, managers and callables
handed.py     what of it `run` has read already, for the host's processes
imports.py    does something right after a module was imported
hooks.py      puts the observed forms in place where the host would load the plain ones
run.py        starts the host with all that ahead of it
installed.py  a host file from what is installed
site/         the one module that the host's interpreter loads by itself
"""
