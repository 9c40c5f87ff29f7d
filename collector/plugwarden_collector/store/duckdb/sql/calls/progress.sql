-- How far each kind of upkeep has come. Gives: name, batch, time.
from progress
