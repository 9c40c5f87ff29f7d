-- Which staged rows say a word of one kind that has no place. Takes: kind (varchar), staging table staged_words. Gives: row.
select row from staged_words anti join (from known_words where kind = $kind) using (service_name, plugin_id, word)
