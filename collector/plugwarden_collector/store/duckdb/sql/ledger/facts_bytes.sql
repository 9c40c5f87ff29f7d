-- How much what decisions rest on takes in all. Gives: bytes.
select coalesce(sum(bytes), 0)::ubigint as bytes from decision_facts
