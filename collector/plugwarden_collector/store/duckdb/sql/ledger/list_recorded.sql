-- Which of some attempts are kept. Takes: ids (varchar[]). Gives: id.
select distinct id from notifications where list_contains($ids::varchar[], id)
