-- The cheapest look at the store, by which a transaction takes its state. Takes: nothing. Gives: nothing.
select key from meta limit 0
