"""What would happen: a plugin under its gate as declared, with faults, in virtual time or in real time.

faults.py    the language of faults
virtual.py   an event loop whose time is not waited for
body.py      what is called in the plugin's place, under each runner
course.py    the calls, second by second
tally.py     what is counted
advice.py    what to change
screen.py    the tables for people
"""

from plugwarden.emulate.course import Course, Terms
from plugwarden.emulate.faults import Fault, read_faults

__all__ = ["Course", "Fault", "Terms", "read_faults"]
