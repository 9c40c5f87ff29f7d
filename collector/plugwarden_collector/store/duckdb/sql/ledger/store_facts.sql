-- Keep what a decision rests on; another of the same tick may have kept it already. Takes: sha256, sequence, packed (blob).
insert or ignore into decision_facts values ($sha256::varchar, $sequence::ubigint, octet_length($packed::blob), $packed::blob)
