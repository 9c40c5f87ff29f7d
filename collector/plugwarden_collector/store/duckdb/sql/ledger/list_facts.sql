-- All that decisions rest on. Gives: sha256, packed.
select sha256, packed from decision_facts
