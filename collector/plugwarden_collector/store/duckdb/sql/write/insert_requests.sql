-- Remember what was accepted, in the same transaction as the rows. A repeat is refused by the primary key, and its rows with it.
-- Takes: staging table incoming_requests, at (timestamp).
insert into requests select hash, $at::timestamp from incoming_requests
