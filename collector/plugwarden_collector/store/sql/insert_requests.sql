-- Remember what was accepted, in the same transaction as the rows. A repeat is refused by the primary key, and its rows with it.
-- Takes: staging table incoming_requests.
insert into requests select hash, now()::timestamptz at time zone 'UTC' from incoming_requests
