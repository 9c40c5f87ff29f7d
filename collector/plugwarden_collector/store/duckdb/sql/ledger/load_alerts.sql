-- Alerts of our own, ended ones included. Gives the columns of alerts.
from alerts where source = 'plugwarden'
