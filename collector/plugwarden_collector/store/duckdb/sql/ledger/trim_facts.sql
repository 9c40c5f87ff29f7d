-- Let the oldest of what decisions rest on go; their entries stay. Takes: bytes (how many of the newest stay).
delete from decision_facts where sequence < (
    select min(sequence) from (select sequence, sum(bytes) over (order by sequence desc) as newer from decision_facts)
    where newer <= $bytes::ubigint
)
