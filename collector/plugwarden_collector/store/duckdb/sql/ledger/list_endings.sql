-- How alerts, quarantines and shared causes ended: the last entry of each, where it is no beginning. A suggestion that was followed
-- ended with that. Takes: keys (varchar[]). Gives: fingerprint, time, kind, actor, reason.
with said as (
    select
        case kind when 'approved' then evidence ->> '$.suggestion' when 'unfrozen' then 'frozen' else quarantine_id end as fingerprint,
        time, kind, actor, reason, sequence
    from decisions
),
happened as (
    select fingerprint, time, after, reason, rowid as place from alert_events
)
select fingerprint, time, kind, actor, reason
from said
where list_contains($keys::varchar[], fingerprint)
qualify row_number() over (partition by fingerprint order by sequence desc) = 1
    and kind not in ('quarantined', 'suggested', 'prevented', 'common_cause', 'probation', 'advanced', 'requarantined', 'inconclusive')
union all
select fingerprint, time, 'resolved', 'automation', reason
from happened
where list_contains($keys::varchar[], fingerprint)
qualify row_number() over (partition by fingerprint order by place desc) = 1 and after = 'inactive'
