-- What decisions rest on. Takes: sha256. Gives: packed.
select packed from decision_facts where sha256 = $sha256
