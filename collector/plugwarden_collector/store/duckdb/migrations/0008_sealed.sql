-- Entries are sealed with a key outside of the store, and say apart who showed a token and on whose behalf they said they acted.
alter table decisions add column says varchar;
alter table decisions add column key_id varchar;

-- Who looked, asked in vain or pushed: a chain of its own, folded and kept for a time, so that decisions stay readable.
create table access_log (
    sequence ubigint primary key, time timestamp not null, kind varchar not null, actor varchar not null, says varchar,
    scope varchar not null, reason varchar not null, evidence json not null, key_id varchar,
    previous_hash varchar not null, hash varchar not null
);

-- The identity of the chains, for whoever keeps their heads. Unlike the epoch it stays when the store is restored.
create table audit_chain (id varchar not null);
insert into audit_chain values (replace(uuid()::varchar, '-', ''));
