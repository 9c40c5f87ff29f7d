-- Which of some requests are stored. Takes: hashes (ubigint[]). Gives: hash.
select hash from requests where list_contains($hashes::ubigint[], hash)
