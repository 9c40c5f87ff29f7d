-- Remember what was accepted, in the same transaction as the rows. Takes: staging table incoming_requests.
insert into requests select hash, now()::timestamptz at time zone 'UTC' from incoming_requests on conflict do nothing
