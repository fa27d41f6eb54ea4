"""Very many images: rows that survive a kill, shards for several processes and machines."""
