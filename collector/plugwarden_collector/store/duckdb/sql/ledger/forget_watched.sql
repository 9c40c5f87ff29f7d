-- Forget what is remembered of an [[alert]]. Takes: rule (varchar).
delete from watched where rule = $rule::varchar
