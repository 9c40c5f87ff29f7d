-- Forget what a receiver held for open, or was owed. Takes: receiver, fingerprint (varchar).
delete from tellings where receiver = $receiver and fingerprint = $fingerprint
