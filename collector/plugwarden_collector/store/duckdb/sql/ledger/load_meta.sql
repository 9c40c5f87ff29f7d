-- A fact about the store. Takes: key. Gives: value.
select value from meta where key = $key::varchar
