-- What decisions rest on, so that they can be made again: beside the log, as its lists and exports would grow by it. An entry names it by
-- the digest in its evidence, which is sealed; decisions of one tick share it. `sequence` is the first of them, `packed` zlib's form.
create table decision_facts (
    sha256 varchar primary key, sequence ubigint not null, bytes ubigint not null, packed blob not null
);
