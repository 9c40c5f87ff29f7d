-- Who answers for a silence, beside who made it.
alter table silences add column owner varchar;

-- What people said they know of: an alert, quarantine or incident by its key, for as long as it lasts and no longer than until then.
create table acknowledgements (
    id varchar primary key, subject varchar not null, made_at timestamp not null, ends_at timestamp not null,
    created_by varchar not null, reason varchar not null, deleted_at timestamp
);
