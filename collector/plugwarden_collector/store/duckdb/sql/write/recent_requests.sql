-- Requests stored of late. Takes: since (timestamp). Gives: hash.
select hash from requests where time >= $since::timestamp
