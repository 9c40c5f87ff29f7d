-- Which losses of keys the decision log tells of. Gives: evidence.
select evidence from decisions where kind = 'key_replaced' order by sequence
