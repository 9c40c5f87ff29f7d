-- One entry of the decision log. Takes: sequence. Gives: all columns.
from decisions where sequence = $sequence
