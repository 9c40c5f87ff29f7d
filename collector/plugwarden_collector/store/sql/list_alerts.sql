-- Alerts now and lately. Gives the columns of alerts, what fires first.
from alerts order by case state when 'firing' then 0 when 'pending' then 1 else 2 end, changed_at desc limit 1000
