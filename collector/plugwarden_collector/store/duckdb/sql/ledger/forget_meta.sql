-- Forget a fact about the store. Takes: key.
delete from meta where key = $key::varchar
