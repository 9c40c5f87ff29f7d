-- Which digests of what they rest on decisions name, and the first entry that names each. Gives: sha256, sequence; in the order of entries.
select evidence ->> '$.facts' as sha256, min(sequence) as sequence from decisions
where evidence ->> '$.facts' is not null group by sha256 order by sequence
