-- What receivers hold for open, or are owed, the oldest first. Gives the columns of tellings, subject and ended as text.
select receiver, fingerprint, due_at, told_at, given_up_by, subject::varchar as subject, ended::varchar as ended
from tellings order by due_at, receiver, fingerprint
