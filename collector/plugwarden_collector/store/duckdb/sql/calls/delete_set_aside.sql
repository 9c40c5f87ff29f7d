-- Forget an entry of set_aside: its rows are counted now, or a person has given them up. Takes: id. Gives how many.
delete from set_aside where id = $id::varchar
