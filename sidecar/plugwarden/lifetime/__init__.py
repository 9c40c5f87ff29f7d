"""The life of the process that hosts us: what happens when it forks, and when it ends."""
