-- Forget rows of slo_status beyond their age. Takes: before (timestamp).
delete from slo_status where time < $before::timestamp
