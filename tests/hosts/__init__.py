"""Hosts that people have, run without us and with us: is anything different, is every call counted, what does it cost?

row.py           one host: its packages, its files, what starts it
rows/            a file for each
environments.py  a virtual environment for each set of packages, kept between runs
process.py       a host's process with all that it starts: its end, its output, its CPU time
trial.py         one run of a host, without us or with us
verdict.py       what the runs of a host say when they are laid side by side
pages.py         the how-tos, followed word for word
suites.py        test suites of others, run many times
__main__.py      the command, `make hosts`
"""
