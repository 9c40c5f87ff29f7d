-- Let pushed alerts go. Takes: fingerprints (varchar[]).
delete from alerts where source = 'prometheus' and fingerprint in (select unnest($fingerprints::varchar[]))
