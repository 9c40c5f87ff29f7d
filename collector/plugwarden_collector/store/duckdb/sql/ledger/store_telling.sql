-- Keep what a receiver holds for open, or is owed. Takes: receiver, fingerprint, given_up_by, subject, ended (varchar; the last two JSON),
-- due_at, told_at (timestamp).
insert or replace into tellings
values ($receiver, $fingerprint, $due_at, $told_at, $given_up_by, $subject::json, $ended::json)
