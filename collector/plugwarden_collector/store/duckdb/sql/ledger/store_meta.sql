-- Note a fact about the store. Takes: key, value.
insert or replace into meta values ($key::varchar, $value::varchar)
