"""Reports: made of records only."""
