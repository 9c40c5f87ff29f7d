-- All rows of changes.
from changes order by time desc limit 10000
