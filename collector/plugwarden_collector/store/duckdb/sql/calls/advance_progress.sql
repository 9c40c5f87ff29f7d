-- Note how far a kind of upkeep has come. Takes: name, batch (ubigint or null), time (timestamp or null).
-- Replaced, not updated: an update keeps checkpoints off for as long as anybody reads an older state.
insert or replace into progress values ($name, $batch, $time)
