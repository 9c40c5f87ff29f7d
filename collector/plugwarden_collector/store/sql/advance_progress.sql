-- Note how far a kind of upkeep has come. Takes: name, batch (ubigint or null), time (timestamp or null).
update progress set batch = $batch, time = $time where name = $name
