-- All quarantines, the oldest first. Gives the columns of quarantines.
from quarantines order by started_at
