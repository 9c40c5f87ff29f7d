-- All quarantines, what is in force first.
from quarantines order by ended_at is not null, changed_at desc limit 1000
