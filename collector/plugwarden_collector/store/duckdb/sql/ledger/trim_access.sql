-- Let the oldest entries of the access log go. Takes: last, the sequence of the newest of them.
delete from access_log where sequence <= $last
