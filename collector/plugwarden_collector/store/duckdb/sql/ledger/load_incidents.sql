-- Shared causes that have not ended. Gives the columns of incidents.
from incidents where ended_at is null
