-- Common causes found, newest first.
from incidents order by started_at desc limit 200
