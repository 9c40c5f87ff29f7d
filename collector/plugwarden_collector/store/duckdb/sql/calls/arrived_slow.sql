-- Calls that were counted between two commits and took longer than thresholds, by plugin, version and operation. Takes: after, mark
-- (ubigint), since, until (timestamp), thresholds (integer[]: of each the last histogram bucket that is still fast).
-- Gives: plugin_id, plugin_version, plugin_operation, fast (integer), slow; nothing where none were.
select
    plugin_id, plugin_version, plugin_operation, fast, bounded(sum(slow_calls(calls, bucket_index, bucket_count, fast))) as slow
from call_seconds join (select unnest($thresholds::integer[]) as fast) on list_max(bucket_index) > fast
where batch > $after::ubigint and batch <= $mark::ubigint and bucket_start >= $since::timestamp and bucket_start <= $until::timestamp
  and contract.ended(outcome, error_source) and plugin_id <> contract.overflow and plugin_version <> contract.overflow
group by all
