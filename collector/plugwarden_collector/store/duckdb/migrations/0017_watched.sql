-- What is kept of each [[alert]] of the rules from one look to the next: the last looks at what fails, and what has gone. JSON.
create table watched (rule varchar primary key, kept json not null, changed_at timestamp not null);
