-- How much of its limits the host processes of a plugin used, by the minute for as long as calls are kept by the minute: the fullest that one
-- of them told, with the limit that it was held to. Budgets of saturation are of these minutes.
create table limit_minutes (
    bucket_start timestamp not null, plugin_id varchar not null, plugin_version varchar not null, plugin_operation varchar not null,
    resource varchar not null, limit_value double not null, used double not null
);
