"""For tests of plugins and of hosts: a sidecar that exports nowhere and remembers, a clock to be moved, a manifest's contract.

clock.py      time that moves when it is told to
record.py     what was recorded, and the sidecar that does it
contract.py   a manifest against the plugin that it is about
example.py    a call, and how it should end
fixtures.py   for pytest: `pytest_plugins = ["plugwarden.testing.fixtures"]`
"""

from plugwarden.testing.clock import Clock
from plugwarden.testing.contract import Contract, ContractBroken, Finding, contract_of
from plugwarden.testing.example import Example, call
from plugwarden.testing.record import Recorded, Recorder, recording

__all__ = [
    "Clock",
    "Contract",
    "ContractBroken",
    "Example",
    "Finding",
    "Recorded",
    "Recorder",
    "call",
    "contract_of",
    "recording",
]
