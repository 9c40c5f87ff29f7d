-- The rows of one entry of set_aside. Takes: id. Gives: what, content (blob or null).
select what, content from set_aside where id = $id::varchar
