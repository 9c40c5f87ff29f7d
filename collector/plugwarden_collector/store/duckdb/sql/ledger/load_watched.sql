-- What is remembered of each [[alert]]. Gives: rule, kept (JSON as text).
select rule, kept::varchar as kept from watched
